#include "engine/discord/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/str.h"

static const struct {
    const char *scheme;
    bool tls;
    uint16_t port;
} schemes[] = {
    {"https://", true, 443},
    {"wss://", true, 443},
    {"http://", false, 80},
    {"ws://", false, 80},
};

/* By its text alone: a name that happens to resolve to this machine today may
 * be somebody else's tomorrow. */
static bool is_loopback(const char *host)
{
    if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
        return true;
    if (!str_starts(host, "127."))
        return false;

    int dots = 0;
    for (const char *c = host; *c; c++) {
        if (*c == '.')
            dots++;
        else if (*c < '0' || *c > '9')
            return false;
    }
    return dots == 3;
}

static bool host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

static bool v6_char(char c)
{
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
           (c >= '0' && c <= '9') || c == ':' || c == '.';
}

int url_parse(const char *text, struct url *out, struct err *err)
{
    struct url u = {0};
    const char *at = NULL;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (str_starts(text, schemes[i].scheme)) {
            at = text + strlen(schemes[i].scheme);
            u.tls = schemes[i].tls;
            u.port = schemes[i].port;
            break;
        }
    }
    if (!at)
        return err_set(err, -EINVAL,
                       "the address must begin with https:// (or http:// on "
                       "this machine)");

    bool v6 = *at == '[';
    size_t n = 0;
    at += v6;
    while (v6 ? v6_char(at[n]) : host_char(at[n]))
        n++;
    if (n == 0 || n >= sizeof(u.host) || (v6 && at[n] != ']'))
        return err_set(err, -EINVAL, "the address has no valid host");
    memcpy(u.host, at, n);
    at += n + v6;

    if (*at == ':') {
        uint64_t port;
        n = strcspn(++at, "/?");
        if (!str_to_u64_n(at, n, &port) || port == 0 || port > 65535)
            return err_set(err, -EINVAL, "%s: the port is not a number",
                           u.host);
        u.port = (uint16_t)port;
        at += n;
    }
    if (*at != '\0' && *at != '/' && *at != '?')
        return err_set(err, -EINVAL, "the address has no valid host");

    n = strcspn(at, "#");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)at[i] <= 0x20 || (unsigned char)at[i] >= 0x7f)
            return err_set(err, -EINVAL,
                           "%s: the path has a character that no address has",
                           u.host);
    size_t slash = at[0] == '?';
    if (n + slash >= sizeof(u.path))
        return err_set(err, -EINVAL, "%s: the address is too long", u.host);
    if (slash)
        u.path[0] = '/';
    memcpy(u.path + slash, at, n);

    u.loopback = is_loopback(u.host);
    if (!u.tls && !u.loopback)
        return err_set(err, -EINVAL,
                       "%s: without TLS only this machine itself "
                       "(127.0.0.1, ::1, localhost) may be addressed; use "
                       "https://",
                       u.host);
    *out = u;
    return 0;
}
