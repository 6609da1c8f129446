#include "engine/discord/status.h"

#include <curl/curl.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "engine/discord/message.h"

/* Codes that need another errno than their HTTP status gives, or that a
 * person can do something about. What Discord itself says stands behind. */
static const struct known {
    int code;
    int error;
    const char *advice;
} known[] = {
    {10003, -ENOENT, "there is no such channel"},
    {10004, -ENOENT, "the bot is not in this server"},
    {10008, -ENOENT, "there is no such message"},
    {20028, -EAGAIN, "this channel's limit of writes is reached; try later"},
    {20029, -EAGAIN, "this server's limit of writes is reached; try later"},
    {20031, -EINVAL, "the server forbids a word of this name"},
    {30003, -ENOSPC, "the channel has as many pins as it can"},
    {30013, -ENOSPC,
     "the server has as many channels as it can (500); "
     "delete some"},
    {30015, -EINVAL, "too many files for one message"},
    {40001, -EACCES, "the bot is not allowed to do this"},
    {40005, -EFBIG, "the file is larger than this server takes"},
    {40060, -EALREADY, "the interaction was answered already"},
    {40333, -EIO,
     "Cloudflare turned this program away; check the proxy "
     "and firewall on the way to Discord"},
    {50001, -EACCES,
     "the bot cannot see this channel; give its role View "
     "Channel and Read Message History"},
    {50005, -EACCES, "somebody else wrote this message"},
    {50006, -EINVAL, "the message would be empty"},
    {50008, -EINVAL, "this channel takes no messages"},
    {50013, -EACCES,
     "the bot's role lacks a permission for this; `dbcord "
     "doctor` says which"},
    {50014, -EPERM, "the bot's token is not valid"},
    {50034, -EINVAL, "messages over 14 days old cannot be deleted together"},
    {50045, -EFBIG, "the file is larger than this server takes"},
    {50074, -EACCES,
     "a community server needs this channel; make another "
     "its rules or updates channel first"},
    {50083, -EACCES, "the thread is archived"},
    {130000, -EAGAIN, "Discord is overloaded; try later"},
    {110000, -EAGAIN, "the search index is not ready; try later"},
    {160004, -EEXIST, "the message has a thread already"},
    {160005, -EACCES,
     "the thread is locked; the bot's role needs Manage "
     "Threads"},
    {160006, -ENOSPC,
     "the server has as many active threads as it can; "
     "archive some"},
    {200000, -EACCES,
     "a rule of the server's AutoMod blocked it; exempt the "
     "bot's role from the rule"},
    {200001, -EACCES,
     "a rule of the server's AutoMod blocked the name; exempt "
     "the bot's role from the rule"},
    {240000, -EACCES, "Discord's filter of harmful links blocked it"},
    {400001, -ENOSPC, "the server's uploads are limited for now"},
};

/* One line, cut on a character's border. */
static void copy_text(char *out, size_t size, const char *s)
{
    size_t len = strlen(s), n = 0;
    uint32_t cp;

    while (n < len) {
        size_t step = utf8_decode(s + n, len - n, &cp);
        if (step == 0 || n + step >= size)
            break;
        memcpy(out + n, s + n, step);
        if (cp < 0x20 || cp == 0x7f)
            out[n] = ' ';
        n += step;
    }
    out[n] = '\0';
}

/* The first leaf under "errors", with the path to it; depth is bounded by the
 * parser. */
static bool first_leaf(struct json_object *o, const char *path,
                       struct status *s)
{
    struct json_object *leaves = NULL;

    if (!json_object_is_type(o, json_type_object))
        return false;
    if (json_object_object_get_ex(o, "_errors", &leaves) &&
        json_object_is_type(leaves, json_type_array) &&
        json_object_array_length(leaves) > 0) {
        struct json_object *leaf = json_object_array_get_idx(leaves, 0);
        const char *text = message_text(leaf, "message", NULL);
        const char *code = message_text(leaf, "code", NULL);
        AUTO_BUF struct buf all = BUF_INIT;
        buf_printf(&all, "%s%s%s", path, *path ? ": " : "",
                   text ? text : "not valid");
        copy_text(s->detail, sizeof(s->detail), all.data);
        s->parent_full =
            code && strcmp(code, "CHANNEL_PARENT_MAX_CHANNELS") == 0;
        return true;
    }
    json_object_object_foreach(o, key, value)
    {
        char longer[100];
        AUTO_BUF struct buf all = BUF_INIT;
        buf_printf(&all, "%s%s%s", path, *path ? "." : "", key);
        copy_text(longer, sizeof(longer), all.data);
        if (first_leaf(value, longer, s))
            return true;
    }
    return false;
}

void status_read(struct status *s, long http, const char *body, size_t len)
{
    struct json_object *v = NULL;

    *s = (struct status){.http = http, .retry_after = -1};
    struct json_object *o = message_json(body, len);
    if (json_object_is_type(o, json_type_object)) {
        const char *text = message_text(o, "message", NULL);
        int64_t code = message_int(o, "code", 0);
        s->json = text != NULL;
        s->code = code > 0 && code < 1000000000 ? (int)code : 0;
        copy_text(s->message, sizeof(s->message), text ? text : "");
        if (json_object_object_get_ex(o, "retry_after", &v) &&
            (json_object_is_type(v, json_type_double) ||
             json_object_is_type(v, json_type_int)))
            s->retry_after = json_object_get_double(v);
        if (!(s->retry_after >= 0)) /* NaN too */
            s->retry_after = -1;
        if (json_object_object_get_ex(o, "global", &v))
            s->global = json_object_is_type(v, json_type_boolean) &&
                        json_object_get_boolean(v);
        if (json_object_object_get_ex(o, "errors", &v))
            first_leaf(v, "", s);
    }
    json_object_put(o);
}

static int by_http(const struct status *s, const char **advice)
{
    switch (s->http) {
    case 400:
        *advice = "Discord found the request malformed";
        return -EINVAL;
    case 401:
        *advice = "the token was refused; put the bot's current one into "
                  "DISCORD_BOT_TOKEN";
        return -EPERM;
    case 403:
        *advice = "the bot is not allowed to do this";
        return -EACCES;
    case 404:
        *advice = "there is no such thing";
        return -ENOENT;
    case 405:
        *advice = "Discord does not do this";
        return -EINVAL;
    case 413:
        *advice = "the file is larger than Discord takes";
        return -EFBIG;
    case 429:
        *advice = "Discord's rate limit was reached";
        return -EAGAIN;
    }
    if (s->http >= 300 && s->http < 400)
        *advice = "the address answered with a redirect, and the token is "
                  "sent nowhere else; check DBCORD_API_URL";
    else if (s->http >= 500)
        *advice = "Discord failed to answer; try later";
    else
        *advice = "Discord gave an answer that makes no sense here";
    return -EIO;
}

int status_error(const struct status *s, bool keyed, struct err *err)
{
    const char *advice = NULL;
    int r = by_http(s, &advice);

    if (s->http == 401 && keyed) {
        r = -EACCES;
        advice = "the interaction is too old to be answered";
    } else if (s->parent_full) {
        r = -ENOSPC;
        advice = "the category has as many channels as it can (50)";
    } else if (s->http == 403 && s->code == 10008) {
        advice = "Discord's protection against abuse stopped it";
    } else if (s->http != 401) {
        if (s->code >= 30000 && s->code < 31000 && s->http != 429) {
            r = -ENOSPC;
            advice = "a limit of this server is reached";
        }
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (known[i].code == s->code) {
                r = known[i].error;
                advice = known[i].advice;
            }
        }
    }

    const char *said = s->detail[0] ? s->detail : s->message;
    if (s->code && *said)
        return err_set(err, r, "%s (Discord: HTTP %ld, code %d, \"%s\")",
                       advice, s->http, s->code, said);
    if (s->code || *said)
        return err_set(err, r, "%s (Discord: HTTP %ld, \"%s\")", advice,
                       s->http, said);
    return err_set(err, r, "%s (HTTP %ld)", advice, s->http);
}

bool status_passes(long http)
{
    return http >= 500 && http != 501 && http != 505;
}

int status_transfer_error(int curl_code, const char *host, struct err *err)
{
    switch (curl_code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return err_set(err, -ENETUNREACH,
                       "the name %s cannot be resolved; is this machine "
                       "online?",
                       host);
    case CURLE_COULDNT_CONNECT:
        return err_set(err, -ENETUNREACH,
                       "%s cannot be reached; is this machine online?", host);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, -ETIMEDOUT, "%s did not answer in time", host);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return err_set(err, -EIO,
                       "%s showed a certificate that this machine does not "
                       "trust; are ca-certificates installed and the clock "
                       "right?",
                       host);
    case CURLE_SSL_CONNECT_ERROR:
        return err_set(err, -ENETUNREACH,
                       "no secure connection to %s could be made", host);
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
        return err_set(err, -EIO, "%s sent more than any answer has", host);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return err_set(err, -EIO, "an address of %s is not valid", host);
    default:
        return err_set(err, -ENETUNREACH, "the connection to %s broke off (%s)",
                       host, curl_easy_strerror((CURLcode)curl_code));
    }
}

bool status_never_left(int curl_code)
{
    return curl_code == CURLE_COULDNT_RESOLVE_HOST ||
           curl_code == CURLE_COULDNT_RESOLVE_PROXY ||
           curl_code == CURLE_COULDNT_CONNECT ||
           curl_code == CURLE_SSL_CONNECT_ERROR;
}

bool status_transfer_passes(int curl_code)
{
    switch (curl_code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return false;
    }
    return true;
}
