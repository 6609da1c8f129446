/* A transaction in the file is
 *
 *     dbj <length of json> <length of bytes> <crc32 of both, hex>\n
 *     [["kind",{record}],["kind",{record},[offset,length]],…]\n
 *     bytes\n
 *
 * offset and length say where in the bytes a record's own are. A transaction
 * is written by one writev(2); what is incomplete or fails its checksum at the
 * end of the file is cut off. The same in the middle is an error: it is not
 * what a kill leaves behind. */
#include "tests/emulator/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <json-c/json.h>
#include <zlib.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "tests/emulator/emulator.h"

struct journal {
    int fd; /* -1: memory only */
    bool replaying;
    struct buf json, bytes; /* what journal_commit() will write */
    const char *path;
};

void journal_add_blob(struct emulator *e, const char *kind,
                      struct json_object *record, const void *data, size_t len)
{
    struct journal *j = e->journal;
    if (j->fd < 0 || j->replaying)
        return;

    size_t n;
    const char *text = json_object_to_json_string_length(
        record, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
    buf_addc(&j->json, j->json.len ? ',' : '[');
    buf_printf(&j->json, "[\"%s\",", kind);
    buf_add(&j->json, text, n);
    if (data) {
        buf_printf(&j->json, ",[%zu,%zu]", j->bytes.len, len);
        buf_add(&j->bytes, data, len);
    }
    buf_addc(&j->json, ']');
}

void journal_add(struct emulator *e, const char *kind,
                 struct json_object *record)
{
    journal_add_blob(e, kind, record, NULL, 0);
}

static uint32_t checksum(const void *json, size_t json_len, const void *bytes,
                         size_t bytes_len)
{
    uLong crc = crc32(0, NULL, 0);
    if (json_len)
        crc = crc32_z(crc, json, json_len);
    if (bytes_len)
        crc = crc32_z(crc, bytes, bytes_len);
    return (uint32_t)crc;
}

void journal_commit(struct emulator *e)
{
    struct journal *j = e->journal;
    if (!j->json.len)
        return;

    buf_addc(&j->json, ']');
    char head[80];
    int head_len = snprintf(
        head, sizeof head, "dbj %zu %zu %08x\n", j->json.len, j->bytes.len,
        checksum(j->json.data, j->json.len, j->bytes.data, j->bytes.len));
    buf_addc(&j->json, '\n');
    buf_addc(&j->bytes, '\n');

    struct iovec v[] = {{head, (size_t)head_len},
                        {j->json.data, j->json.len},
                        {j->bytes.data, j->bytes.len}};
    struct iovec *at = v;
    int left = 3;
    while (left) {
        ssize_t n = writev(j->fd, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "dbcord-emulator: cannot write %s: %s\n", j->path,
                    strerror(errno));
            exit(1);
        }
        while (left && (size_t)n >= at->iov_len) {
            n -= (ssize_t)at->iov_len;
            at++;
            left--;
        }
        if (left) {
            at->iov_base = (char *)at->iov_base + n;
            at->iov_len -= (size_t)n;
        }
    }
    buf_reset(&j->json);
    buf_reset(&j->bytes);
}

static void replay_record(struct emulator *e, struct json_object *entry,
                          const char *bytes, size_t bytes_len)
{
    const char *kind =
        json_object_get_string(json_object_array_get_idx(entry, 0));
    struct json_object *record = json_object_array_get_idx(entry, 1);
    struct json_object *where = json_object_array_get_idx(entry, 2);

    const void *data = NULL;
    size_t len = 0;
    if (where) {
        uint64_t at =
            json_object_get_uint64(json_object_array_get_idx(where, 0));
        len = json_object_get_uint64(json_object_array_get_idx(where, 1));
        if (at > bytes_len || len > bytes_len - at)
            return;
        data = bytes + at;
    }
    if (str_starts(kind, "command."))
        commands_replay(e, kind, record, data, len);
    else
        state_replay(e, kind, record, data, len);
}

/* The length of the transaction at p, and its replay; 0: it is not whole. */
static size_t replay_one(struct emulator *e, const char *p, size_t left)
{
    const char *eol = memchr(p, '\n', left < 80 ? left : 80);
    char head[81];
    size_t json_len, bytes_len;
    unsigned crc;

    if (!eol)
        return 0;
    snprintf(head, sizeof head, "%.*s", (int)(eol - p), p);
    if (sscanf(head, "dbj %zu %zu %8x", &json_len, &bytes_len, &crc) != 3)
        return 0;

    size_t head_len = (size_t)(eol - p) + 1;
    if (json_len > left - head_len || bytes_len > left - head_len - json_len ||
        left - head_len - json_len - bytes_len < 2)
        return 0;
    const char *json = p + head_len, *bytes = json + json_len + 1;
    if (checksum(json, json_len, bytes, bytes_len) != crc)
        return 0;

    struct json_tokener *tok = json_tokener_new_ex(128);
    struct json_object *list = json_tokener_parse_ex(tok, json, (int)json_len);
    json_tokener_free(tok);
    if (!json_object_is_type(list, json_type_array)) {
        json_object_put(list);
        return 0;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++)
        replay_record(e, json_object_array_get_idx(list, i), bytes, bytes_len);
    json_object_put(list);
    return head_len + json_len + 1 + bytes_len + 1;
}

static int replay(struct emulator *e, struct err *err)
{
    struct journal *j = e->journal;
    struct stat st;
    if (fstat(j->fd, &st) < 0)
        return err_set(err, -errno, "%s: %s", j->path, strerror(errno));
    if (!st.st_size)
        return 0;

    size_t size = (size_t)st.st_size, at = 0;
    char *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, j->fd, 0);
    if (p == MAP_FAILED)
        return err_set(err, -errno, "%s: %s", j->path, strerror(errno));
    while (at < size) {
        size_t n = replay_one(e, p + at, size - at);
        if (!n)
            break;
        at += n;
    }

    /* A torn end holds no further whole transaction. */
    int r = 0;
    bool foreign = at == 0 && (size < 4 || memcmp(p, "dbj ", 4) != 0);
    if (foreign && size >= 4)
        r = err_set(err, -EINVAL, "%s is not the emulator's log", j->path);
    else if (at < size && memmem(p + at + 1, size - at - 1, "\ndbj ", 5))
        r = err_set(err, -EBADMSG, "%s is damaged at byte %zu", j->path, at);
    munmap(p, size);

    if (!r && at < size && ftruncate(j->fd, (off_t)at) < 0)
        r = err_set(err, -errno, "%s: %s", j->path, strerror(errno));
    return r;
}

int journal_open(struct emulator *e, const char *path, struct err *err)
{
    struct journal *j = xcalloc(1, sizeof *j);
    j->fd = -1;
    j->path = path;
    e->journal = j;
    if (!path)
        return 0;

    j->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (j->fd < 0)
        return err_set(err, -errno, "cannot open %s: %s", path,
                       strerror(errno));
    if (flock(j->fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, -EBUSY, "%s is in use by another emulator", path);

    j->replaying = true;
    int r = replay(e, err);
    j->replaying = false;
    return r;
}

void journal_close(struct emulator *e)
{
    struct journal *j = e->journal;
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    buf_release(&j->json);
    buf_release(&j->bytes);
    free(j);
    e->journal = NULL;
}
