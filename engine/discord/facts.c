#include "engine/discord/facts.h"

#include <pthread.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"
#include "engine/discord/perm.h"

#define LINKS_MAX 1024

/* A link that is about to die is not worth the try. */
#define LINK_MARGIN_MS 30000

struct link {
    uint64_t file; /* 0: free */
    uint64_t size;
    int64_t expires_ms;
    char *url;
};

struct facts {
    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    struct perm *perm;    /* under lock, as all below */
    uint64_t me;
    struct map links;  /* file -> struct link, in the ring */
    struct link *ring; /* LINKS_MAX, the oldest is overwritten */
    size_t ring_next;
};

static uint64_t link_hash(const void *item)
{
    return hash_u64(((const struct link *)item)->file);
}

static bool link_has(const void *item, const void *key)
{
    return ((const struct link *)item)->file == *(const uint64_t *)key;
}

static const struct map_type link_type = {link_hash, link_has};

struct facts *facts_new(void)
{
    struct facts *f = xcalloc(1, sizeof(*f));

    pthread_mutex_init(&f->lock, NULL);
    f->perm = perm_new();
    f->links = MAP_INIT(&link_type);
    f->ring = xcalloc(LINKS_MAX, sizeof(*f->ring));
    return f;
}

void facts_free(struct facts *f)
{
    if (!f)
        return;
    perm_free(f->perm);
    for (size_t i = 0; i < LINKS_MAX; i++)
        free(f->ring[i].url);
    free(f->ring);
    map_release(&f->links);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* Each of perm.h's, under the lock. */
#define LOCKED(f, call)                                                        \
    do {                                                                       \
        pthread_mutex_lock(&(f)->lock);                                        \
        call;                                                                  \
        pthread_mutex_unlock(&(f)->lock);                                      \
    } while (0)

void facts_note_me(struct facts *f, uint64_t user)
{
    LOCKED(f, (f->me = user, perm_note_me(f->perm, user)));
}

uint64_t facts_me(struct facts *f)
{
    uint64_t me;

    LOCKED(f, me = f->me);
    return me;
}

void facts_note_guild(struct facts *f, struct json_object *guild)
{
    LOCKED(f, perm_note_guild(f->perm, guild));
}

void facts_guild_gone(struct facts *f, uint64_t guild)
{
    LOCKED(f, perm_guild_gone(f->perm, guild));
}

void facts_note_member(struct facts *f, uint64_t guild,
                       struct json_object *member)
{
    LOCKED(f, perm_note_member(f->perm, guild, member));
}

void facts_note_role(struct facts *f, uint64_t guild, struct json_object *role)
{
    LOCKED(f, perm_note_role(f->perm, guild, role));
}

void facts_role_gone(struct facts *f, uint64_t guild, uint64_t role)
{
    LOCKED(f, perm_role_gone(f->perm, guild, role));
}

void facts_note_channel(struct facts *f, uint64_t guild,
                        struct json_object *channel)
{
    LOCKED(f, perm_note_channel(f->perm, guild, channel));
}

void facts_channel_gone(struct facts *f, uint64_t channel)
{
    LOCKED(f, perm_channel_gone(f->perm, channel));
}

uint64_t facts_guild_bits(struct facts *f, uint64_t guild)
{
    uint64_t bits;

    LOCKED(f, bits = perm_in_guild(f->perm, guild));
    return bits;
}

void facts_rights(struct facts *f, struct remote_channel *c)
{
    LOCKED(f, perm_rights(f->perm, c));
}

uint64_t facts_max_file(struct facts *f, uint64_t guild, uint64_t channel)
{
    uint64_t max;

    pthread_mutex_lock(&f->lock);
    if (!guild)
        guild = perm_guild_of(f->perm, channel);
    max = perm_max_file(f->perm, guild);
    pthread_mutex_unlock(&f->lock);
    return max;
}

int64_t facts_link_expiry_ms(const char *url)
{
    uint64_t secs = 0;
    int digits = 0;

    const char *q = strchr(url, '?');
    while (q && strncmp(q + 1, "ex=", 3) != 0)
        q = strchr(q + 1, '&');
    if (!q)
        return INT64_MAX;
    for (const char *c = q + 4; digits < 12; c++, digits++) {
        const char *hex = "0123456789abcdef";
        const char *at = *c ? strchr(hex, *c) : NULL;
        if (!at)
            break;
        secs = secs * 16 + (uint64_t)(at - hex);
    }
    return digits ? (int64_t)secs * 1000 : INT64_MAX;
}

static void note_file_locked(struct facts *f, const struct remote_file *file)
{
    struct link *l = map_get(&f->links, hash_u64(file->id), &file->id);

    if (!l) {
        l = &f->ring[f->ring_next];
        f->ring_next = (f->ring_next + 1) % LINKS_MAX;
        if (l->file)
            map_remove(&f->links, hash_u64(l->file), &l->file);
        l->file = file->id;
        map_put(&f->links, &l->file, l);
    }
    free(l->url);
    l->url = xstrdup(file->url);
    l->size = file->size;
    l->expires_ms = facts_link_expiry_ms(file->url);
}

void facts_note_files(struct facts *f, const struct remote_message *m)
{
    if (m->n_files == 0)
        return;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < m->n_files; i++)
        if (m->files[i].url[0])
            note_file_locked(f, &m->files[i]);
    pthread_mutex_unlock(&f->lock);
}

bool facts_link(struct facts *f, uint64_t file, int64_t wall_ms,
                struct buf *url, uint64_t *size)
{
    bool found = false;

    pthread_mutex_lock(&f->lock);
    struct link *l = map_get(&f->links, hash_u64(file), &file);
    if (l && l->expires_ms - LINK_MARGIN_MS > wall_ms) {
        buf_reset(url);
        buf_addstr(url, l->url);
        *size = l->size;
        found = true;
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

void facts_forget_link(struct facts *f, uint64_t file)
{
    pthread_mutex_lock(&f->lock);
    struct link *l = map_remove(&f->links, hash_u64(file), &file);
    if (l) {
        free(l->url);
        *l = (struct link){0};
    }
    pthread_mutex_unlock(&f->lock);
}
