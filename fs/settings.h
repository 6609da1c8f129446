/* Where the token, the guilds and the API's address come from: the
 * environment, or a file of KEY=value lines.
 *
 * The token stays in one place in memory, is wiped there, and is wiped from
 * the environment, where /proc would show it as long as the process lives. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

#define SETTINGS_API_URL "https://discord.com/api/v10"

struct settings {
    char *token;
    uint64_t *guilds;
    size_t n_guilds;
    uint64_t *roles; /* who may use slash commands; none: Discord decides */
    size_t n_roles;
    char *api_url;
    char *file; /* the file that was read, or NULL */
};

#define SETTINGS_INIT ((struct settings){0})

/* env_file: NULL, or the path given by --env-file. The environment goes before
 * the file. Takes the token out of the environment; log_redact()s it.
 * -EINVAL, -EACCES (others can read the file), -ENOENT; the sentence says what
 * to do. */
int settings_load(const char *env_file, struct settings *out, struct err *err);
void settings_release(struct settings *s);

/* --- the pieces ----------------------------------------------------------- */

/* One line of a file, with its newline or without: 1 and name and value (into
 * line, which is changed), 0 for nothing in it, -EINVAL. Takes `export ` in
 * front, quotes of both kinds around a value, # comments. */
int settings_parse_line(char *line, char **name, char **value, struct err *err);

/* "1, 2", the value of the setting of this name: for free(). */
int settings_parse_ids(const char *setting, const char *text, uint64_t **ids,
                       size_t *n, struct err *err);
