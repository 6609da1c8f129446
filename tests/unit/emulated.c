#include "emulated.h"

#include <curl/curl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "emulator: %s\n", what);
    exit(1);
}

static void read_ready_line(struct emulated *e)
{
    AUTO_BUF struct buf line = BUF_INIT;
    char c;

    while (read(e->out, &c, 1) == 1 && c != '\n')
        buf_addc(&line, c);
    struct json_object *o = json_tokener_parse(line.data ? line.data : "");
    if (!o)
        die("it said nothing that is a ready line");
    snprintf(e->api, sizeof(e->api), "%s",
             json_object_get_string(json_object_object_get(o, "api")));
    snprintf(e->token, sizeof(e->token), "%s",
             json_object_get_string(json_object_object_get(o, "token")));
    e->guild =
        strtoull(json_object_get_string(json_object_object_get(o, "guild_id")),
                 NULL, 10);
    json_object_put(o);
    snprintf(e->base, sizeof(e->base), "%s", e->api);
    char *path = strstr(e->base, "/api/");
    if (!path || !e->guild)
        die("its ready line lacks an address or a guild");
    *path = '\0';
}

void emulated_start(struct emulated *e, const char *limits)
{
    const char *program = getenv("DBCORD_EMULATOR");
    int pipe_out[2];

    if (!program)
        exit(77);
    if (pipe(pipe_out) < 0)
        die("no pipe");
    *e = (struct emulated){.out = pipe_out[0]};
    e->pid = fork();
    if (e->pid == 0) {
        dup2(pipe_out[1], 1);
        close(pipe_out[0]);
        close(pipe_out[1]);
        execl(program, program, "--limits", limits, (char *)NULL);
        _exit(127);
    }
    close(pipe_out[1]);
    if (e->pid < 0)
        die("it cannot be started");
    read_ready_line(e);
}

/* Every request made and every answer given, against Discord's own schemas:
 * $DBCORD_VALIDATE names the program; not looked at where it, or what it is
 * made of, is missing. */
static bool as_specified(const struct emulated *e)
{
    const char *program = getenv("DBCORD_VALIDATE");
    char modules[4096];

    if (!program || !*program)
        return true;
    snprintf(modules, sizeof(modules), "%.*s/node_modules",
             (int)(strrchr(program, '/') - program), program);
    if (access(modules, R_OK) != 0)
        return true;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("node", "node", program, e->base, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) &&
           (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 127);
}

void emulated_stop(struct emulated *e)
{
    if (e->pid > 0) {
        if (!as_specified(e)) {
            fprintf(stderr, "not as Discord's schemas want it\n");
            abort();
        }
        kill(e->pid, SIGTERM);
        waitpid(e->pid, NULL, 0);
        close(e->out);
    }
    e->pid = 0;
}

static size_t take(char *data, size_t size, size_t n, void *arg)
{
    buf_add(arg, data, size * n);
    return size * n;
}

void emulated_tell(const struct emulated *e, const char *method,
                   const char *path, const char *json, struct buf *out)
{
    AUTO_BUF struct buf url = BUF_INIT;
    CURL *c = curl_easy_init();
    struct curl_slist *h =
        curl_slist_append(NULL, "Content-Type: application/json");
    long status = 0;

    buf_reset(out);
    buf_printf(&url, "%s%s", e->base, path);
    curl_easy_setopt(c, CURLOPT_URL, url.data);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, h);
    if (json)
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, json);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    CURLcode r = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    curl_slist_free_all(h);
    if (r != CURLE_OK || status < 200 || status > 299) {
        fprintf(stderr, "%s %s: %ld %s\n", method, path, status,
                out->data ? out->data : "");
        die("a control route failed");
    }
}

int emulated_count(const struct emulated *e, const char *method,
                   const char *route, int status)
{
    AUTO_BUF struct buf b = BUF_INIT;
    char key[16];
    int n = 0;

    snprintf(key, sizeof(key), "%d", status);
    emulated_tell(e, "GET", "/emulator/requests", NULL, &b);
    struct json_object *o = json_tokener_parse(b.data);
    struct json_object *routes = json_object_object_get(o, "routes");
    for (size_t i = 0; routes && i < json_object_array_length(routes); i++) {
        struct json_object *r = json_object_array_get_idx(routes, i);
        const char *m =
            json_object_get_string(json_object_object_get(r, "method"));
        const char *name =
            json_object_get_string(json_object_object_get(r, "route"));
        if (*route && (strcmp(m, method) != 0 || strcmp(name, route) != 0))
            continue;
        struct json_object *by = json_object_object_get(r, "status");
        n += json_object_get_int(status ? json_object_object_get(by, key)
                                        : json_object_object_get(r, "count"));
    }
    json_object_put(o);
    return n;
}
