/* Runs a fuzz target without a fuzzer: over each file of its corpus, every
 * beginning of it, and mutations that are the same each time.
 *
 *     fuzz_json DIRECTORY [MUTATIONS] */
#include <assert.h>
#include <dirent.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "tests/fuzz/fuzz.h"

static uint64_t rng = 0x9e3779b97f4a7c15u;

static size_t draw(size_t below)
{
    assert(below > 0);
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (size_t)(rng >> 20) % below;
}

/* A copy of exact size, so that a sanitizer sees a read behind it. */
static void run(const char *data, size_t len)
{
    uint8_t *copy = xmalloc(len);

    if (len > 0)
        memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static struct buf *seeds;
static size_t n_seeds;

static void read_seed(const char *dir, const char *name)
{
    AUTO_BUF struct buf path = BUF_INIT;
    char block[4096];
    size_t n;

    buf_printf(&path, "%s/%s", dir, name);
    FILE *f = fopen(path.data, "rb");
    if (!f) {
        perror(path.data);
        exit(1);
    }
    seeds = xrealloc(seeds, (n_seeds + 1) * sizeof(*seeds));
    struct buf *seed = &seeds[n_seeds++];
    *seed = BUF_INIT;
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        buf_add(seed, block, n);
    fclose(f);
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void mutate(struct buf *b)
{
    static const char *const tokens[] = {
        "\"", "\\",   "{",    "}",         "[",    "]",  ",",    ":",
        "\n", "\\u",  "null", "-1e9",      "```",  " ",  "0",    "\xc3\xa9",
        "\0", "\xff", "self", "\\ud83d\\", " of ", "99", "true", "\"a\":1,",
    };

    for (size_t n = 1 + draw(4); n > 0; n--) {
        size_t at = draw(b->len + 1), len = draw(8);
        AUTO_BUF struct buf tail = BUF_INIT;
        if (len > b->len - at)
            len = b->len - at;
        buf_add(&tail, b->data + at, b->len - at);
        switch (draw(6)) {
        case 0:
            if (at < b->len)
                b->data[at] = (char)(b->data[at] ^ (1 << draw(8)));
            break;
        case 1: /* something goes */
            buf_consume(&tail, len);
            buf_truncate(b, at);
            buf_add(b, tail.data, tail.len);
            break;
        case 2: /* something comes twice */
            buf_truncate(b, at + len);
            buf_add(b, tail.data, tail.len);
            break;
        case 3: /* another seed goes on from here */
            buf_truncate(b, at);
            at = draw(n_seeds);
            len = draw(seeds[at].len + 1);
            buf_add(b, seeds[at].data + len, seeds[at].len - len);
            break;
        default: {
            const char *t = tokens[draw(sizeof(tokens) / sizeof(tokens[0]))];
            buf_truncate(b, at);
            buf_add(b, t, *t ? strlen(t) : 1);
            buf_add(b, tail.data, tail.len);
        }
        }
    }
}

int main(int argc, char **argv)
{
    struct dirent **names;
    size_t mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : 200000;

    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY [MUTATIONS]\n", argv[0]);
        return 2;
    }
    /* Sorted: the mutations must not depend on the file system. */
    int n = scandir(argv[1], &names, visible, alphasort);
    if (n <= 0) {
        fprintf(stderr, "%s: no corpus here\n", argv[1]);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        read_seed(argv[1], names[i]->d_name);
        free(names[i]);
    }
    free(names);

    for (size_t i = 0; i < n_seeds; i++)
        for (size_t len = 0; len <= seeds[i].len; len++)
            run(seeds[i].data, len);
    for (size_t i = 0; i < mutations; i++) {
        const struct buf *seed = &seeds[draw(n_seeds)];
        AUTO_BUF struct buf b = BUF_INIT;
        buf_add(&b, seed->data, seed->len);
        mutate(&b);
        run(b.data, b.len);
    }
    for (size_t i = 0; i < n_seeds; i++)
        buf_release(&seeds[i]);
    free(seeds);
    return 0;
}
