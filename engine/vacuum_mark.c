#include "engine/vacuum_mark.h"

#include <string.h>

#include "engine/base/str.h"
#include "engine/timestamp.h"
#include "engine/transit.h"

#define MARK "-# dbcord vacuum upto "

static bool take_id(const char **at, const char *end, const char *before,
                    uint64_t *out)
{
    size_t n = strlen(before), digits = 0;

    if ((size_t)(end - *at) < n || memcmp(*at, before, n) != 0)
        return false;
    *at += n;
    while (*at + digits < end && (*at)[digits] >= '0' && (*at)[digits] <= '9')
        digits++;
    if (!str_to_u64_n(*at, digits, out))
        return false;
    *at += digits;
    return true;
}

bool vacuum_mark_parse(const struct remote_message *m, uint64_t *upto,
                       uint64_t *from)
{
    const char *at = m->content, *end = at + m->content_len;

    return take_id(&at, end, MARK, upto) && take_id(&at, end, " from ", from) &&
           *upto > 0 && *from > 0;
}

void vacuum_mark_add(struct buf *b, uint64_t upto, uint64_t from, int64_t at_ms,
                     const char *by)
{
    buf_printf(b, MARK "%llu from %llu at ", (unsigned long long)upto,
               (unsigned long long)from);
    timestamp_add(b, at_ms);
    buf_addstr(b, " by ");
    transit_add_string(b, by, strlen(by));
}
