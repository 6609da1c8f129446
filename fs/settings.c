#include "fs/settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/log.h"
#include "engine/base/str.h"

#define TOKEN "DISCORD_BOT_TOKEN"
#define GUILDS "DBCORD_GUILD_ID"
#define API_URL "DBCORD_API_URL"
#define ROLES "DBCORD_ROLE_ID"

/* A settings file is a handful of lines; what is larger is something else. */
#define FILE_MAX 65536
#define IDS_MAX 100

/* The values as text, each from where it was found first. */
struct found {
    char *token, *guilds, *api_url, *roles;
};

static void free_secret(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

static void found_release(struct found *f)
{
    free_secret(f->token);
    free(f->guilds);
    free(f->api_url);
    free(f->roles);
}

void settings_release(struct settings *s)
{
    free_secret(s->token);
    free(s->guilds);
    free(s->roles);
    free(s->api_url);
    free(s->file);
    *s = SETTINGS_INIT;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = 0;
    return s;
}

/* What stands behind '=': quoted, or up to a comment. */
static int parse_value(char *s, char **value, struct err *err)
{
    if (*s == '"' || *s == '\'') {
        char *end = strchr(s + 1, *s);
        if (!end)
            return err_set(err, -EINVAL, "the quote %c is not closed", *s);
        char *rest = trim(end + 1);
        if (*rest && *rest != '#')
            return err_set(err, -EINVAL, "there is text behind the quote");
        *end = 0;
        *value = s + 1;
        return 1;
    }
    for (char *p = s; *p; p++) {
        if (*p == '#' && (p == s || isspace((unsigned char)p[-1]))) {
            *p = 0;
            break;
        }
    }
    *value = trim(s);
    return 1;
}

int settings_parse_line(char *line, char **name, char **value, struct err *err)
{
    char *s = trim(line);

    if (!*s || *s == '#')
        return 0;
    if (str_starts(s, "export ") || str_starts(s, "export\t"))
        s = trim(s + 7);

    char *equals = strchr(s, '=');
    if (!equals)
        return err_set(err, -EINVAL, "expected KEY=value");
    *equals = 0;
    *name = trim(s);
    for (const char *p = *name; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_')
            return err_set(err, -EINVAL, "expected KEY=value");
    }
    if (!**name || isdigit((unsigned char)**name))
        return err_set(err, -EINVAL, "expected KEY=value");
    return parse_value(trim(equals + 1), value, err);
}

/* How a person finds the id that a setting asks for. */
static const char *where_is(const char *setting)
{
    return strcmp(setting, ROLES) == 0
               ? "a role's id (a number; in Discord: developer mode, server "
                 "settings, Roles, right click, Copy Role ID)"
               : "a guild's id (a number; in Discord: developer mode, right "
                 "click on the server, Copy Server ID)";
}

int settings_parse_ids(const char *setting, const char *text, uint64_t **ids,
                       size_t *n, struct err *err)
{
    AUTO_STR char *copy = xstrdup(text);
    uint64_t *list = xcalloc(IDS_MAX, sizeof(*list));
    char *save;
    int r = 0;

    *n = 0;
    for (char *s = strtok_r(copy, ",", &save); s && r == 0;
         s = strtok_r(NULL, ",", &save)) {
        uint64_t id;

        s = trim(s);
        if (*n == IDS_MAX)
            r = err_set(err, -EINVAL, "%s names more than %d", setting,
                        IDS_MAX);
        else if (!str_to_u64(s, &id) || id == 0)
            r = err_set(err, -EINVAL, "%s: '%.40s' is not %s", setting, s,
                        where_is(setting));
        else
            list[(*n)++] = id;
    }
    if (r == 0 && *n == 0)
        r = err_set(err, -EINVAL, "%s is empty", setting);
    if (r < 0) {
        free(list);
        return r;
    }
    *ids = list;
    return 0;
}

static void keep(char **slot, const char *value)
{
    if (!*slot && *value)
        *slot = xstrdup(value);
}

static void from_environment(struct found *f)
{
    char *token = getenv(TOKEN);

    if (token) {
        keep(&f->token, token);
        /* unsetenv() forgets the string, /proc/PID/environ shows it on. */
        explicit_bzero(token, strlen(token));
        unsetenv(TOKEN);
    }
    keep(&f->guilds, getenv(GUILDS) ? getenv(GUILDS) : "");
    keep(&f->api_url, getenv(API_URL) ? getenv(API_URL) : "");
    keep(&f->roles, getenv(ROLES) ? getenv(ROLES) : "");
}

static int read_all(int fd, char *data, size_t cap)
{
    size_t n = 0;
    ssize_t got;

    while (n < cap && (got = read(fd, data + n, cap - n)) != 0) {
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got > 0)
            n += (size_t)got;
    }
    return (int)n;
}

/* The token is in it: it is nobody's but ours. */
static int check_owner(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
        return err_set(err, -EINVAL, "%s is not a file", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, -EACCES,
                       "%s belongs to another user, who could change it: use "
                       "a file of your own",
                       path);
    if (st.st_mode & 077)
        return err_set(err, -EACCES,
                       "%s can be read by other users: chmod 600 %s", path,
                       path);
    return 0;
}

static int parse_file(char *text, const char *path, bool explicitly,
                      struct found *f, struct err *err)
{
    struct found here = {0};
    char *save;
    int line_number = 0, r = 0;

    for (char *line = text; line; line = save) {
        char *name, *value;

        line_number++;
        save = strchr(line, '\n');
        if (save)
            *save++ = 0;
        r = settings_parse_line(line, &name, &value, err);
        if (r < 0) {
            err_wrap(err, r, "%s, line %d", path, line_number);
            break;
        }
        if (r == 0)
            continue;
        if (strcmp(name, TOKEN) == 0)
            keep(&here.token, value);
        else if (strcmp(name, GUILDS) == 0)
            keep(&here.guilds, value);
        else if (strcmp(name, API_URL) == 0)
            keep(&here.api_url, value);
        else if (strcmp(name, ROLES) == 0)
            keep(&here.roles, value);
    }
    if (r >= 0) {
        /* A file that lies about must not send a token from elsewhere to an
         * address of its own choice. */
        if (here.api_url && (explicitly || (here.token && !f->token)))
            keep(&f->api_url, here.api_url);
        keep(&f->token, here.token ? here.token : "");
        keep(&f->guilds, here.guilds ? here.guilds : "");
        keep(&f->roles, here.roles ? here.roles : "");
        r = 0;
    }
    found_release(&here);
    return r;
}

/* -ENOENT without a message where there is none. */
static int from_file(const char *path, bool explicitly, struct found *f,
                     struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0)
        return err_set(err, -errno, "cannot read the settings in %s: %s", path,
                       strerror(errno));

    int r = check_owner(fd, path, err);
    if (r == 0) {
        char *text = xcalloc(FILE_MAX + 1, 1);

        r = read_all(fd, text, FILE_MAX);
        if (r < 0)
            err_set(err, r, "cannot read the settings in %s: %s", path,
                    strerror(-r));
        else if (r == FILE_MAX)
            r = err_set(err, -EINVAL, "%s is too large for settings", path);
        else if (memchr(text, 0, (size_t)r))
            r = err_set(err, -EINVAL, "%s is not a text file", path);
        else
            r = parse_file(text, path, explicitly, f, err);
        explicit_bzero(text, FILE_MAX);
        free(text);
    }
    close(fd);
    return r;
}

static char *config_path(void)
{
    struct buf b = BUF_INIT;
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (config && *config == '/')
        buf_printf(&b, "%s/dbcord/env", config);
    else if (home && *home)
        buf_printf(&b, "%s/.config/dbcord/env", home);
    else
        return NULL;
    return buf_take_str(&b);
}

/* The first file that is there. */
static int from_files(const char *env_file, struct found *f, char **used,
                      struct err *err)
{
    AUTO_STR char *config = config_path();

    if (env_file) {
        int r = from_file(env_file, true, f, err);
        if (r == -ENOENT)
            return err_set(err, r, "no settings file %s", env_file);
        *used = r < 0 ? NULL : xstrdup(env_file);
        return r;
    }

    const char *const paths[] = {"./.env", config};
    for (size_t i = 0; i < 2; i++) {
        if (!paths[i])
            continue;
        int r = from_file(paths[i], false, f, err);
        if (r == 0)
            *used = xstrdup(paths[i]);
        if (r != -ENOENT)
            return r;
    }
    return 0;
}

/* It goes into a header, and anything but these there is a paste gone wrong.
 * The text is never shown. */
static int check_token(const char *token, struct err *err)
{
    for (const char *p = token; *p; p++) {
        if (!isgraph((unsigned char)*p))
            return err_set(err, -EINVAL,
                           TOKEN " has a space or a strange character in it: "
                                 "copy it again, without 'Bot' before it");
    }
    return 0;
}

static int complete(struct found *f, struct settings *s, struct err *err)
{
    if (!f->token)
        return err_set(err, -EINVAL,
                       "no token: set " TOKEN " in the environment, in ./.env "
                       "or in a file given by --env-file (Discord's developer "
                       "portal, your application, Bot, Reset Token)");
    int r = check_token(f->token, err);
    if (r < 0)
        return r;
    if (!f->guilds)
        return err_set(err, -EINVAL,
                       "no guild: set " GUILDS " beside the token to the "
                       "server's id, or to several by commas");
    r = settings_parse_ids(GUILDS, f->guilds, &s->guilds, &s->n_guilds, err);
    if (r == 0 && f->roles)
        r = settings_parse_ids(ROLES, f->roles, &s->roles, &s->n_roles, err);
    if (r < 0)
        return r;

    s->token = f->token;
    f->token = NULL;
    s->api_url = xstrdup(f->api_url ? f->api_url : SETTINGS_API_URL);
    log_redact(s->token);
    return 0;
}

int settings_load(const char *env_file, struct settings *out, struct err *err)
{
    struct settings s = SETTINGS_INIT;
    struct found f = {0};
    int r = 0;

    from_environment(&f);
    /* Nobody's .env is in the way where the environment says it all. */
    if (env_file || !f.token || !f.guilds)
        r = from_files(env_file, &f, &s.file, err);
    if (r == 0)
        r = complete(&f, &s, err);
    found_release(&f);
    if (r < 0) {
        settings_release(&s);
        return r;
    }
    *out = s;
    return 0;
}
