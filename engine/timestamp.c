#include "engine/timestamp.h"

#include <stddef.h>

#define DAY_MS ((int64_t)86400000)

int64_t timestamp_clamp(int64_t ms)
{
    return ms < TIMESTAMP_FIRST  ? TIMESTAMP_FIRST
           : ms > TIMESTAMP_LAST ? TIMESTAMP_LAST
                                 : ms;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar: years begin in
 * March here, so that the leap day is the last. */
static int64_t days_of_date(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year =
        (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void timestamp_add(struct buf *b, int64_t ms)
{
    int64_t days = ms / DAY_MS, rest = ms % DAY_MS;
    if (rest < 0) {
        rest += DAY_MS;
        days--;
    }

    int year = (int)(days * 400 / 146097) + 1970;
    while (days_of_date(year, 1, 1) > days)
        year--;
    while (days_of_date(year + 1, 1, 1) <= days)
        year++;
    int month = 12;
    while (days_of_date(year, month, 1) > days)
        month--;
    int day = (int)(days - days_of_date(year, month, 1)) + 1;
    int secs = (int)(rest / 1000);
    buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day,
               secs / 3600, secs / 60 % 60, secs % 60, (int)(rest % 1000));
}

static bool two_digits(const char *s, int least, int most, int *out)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *out = (s[0] - '0') * 10 + (s[1] - '0');
    return *out >= least && *out <= most;
}

/* Exactly the form timestamp_add() writes. */
bool timestamp_parse(const char *s, int64_t *out)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";
    int century, year, month, day, hour, minute, second, centi;

    for (size_t i = 0; i < TIMESTAMP_LEN; i++) {
        bool digit = s[i] >= '0' && s[i] <= '9';
        if (form[i] == '0' ? !digit : s[i] != form[i])
            return false;
    }
    if (!two_digits(s, 0, 99, &century) || !two_digits(s + 2, 0, 99, &year) ||
        !two_digits(s + 5, 1, 12, &month) || !two_digits(s + 8, 1, 31, &day) ||
        !two_digits(s + 11, 0, 23, &hour) ||
        !two_digits(s + 14, 0, 59, &minute) ||
        !two_digits(s + 17, 0, 59, &second) ||
        !two_digits(s + 20, 0, 99, &centi))
        return false;
    year += century * 100;
    int64_t days = days_of_date(year, month, day);
    int64_t next = month == 12 ? days_of_date(year + 1, 1, 1)
                               : days_of_date(year, month + 1, 1);
    if (year < 1 || days >= next)
        return false;
    *out = days * DAY_MS +
           ((hour * 60 + minute) * 60 + second) * (int64_t)1000 + centi * 10 +
           (s[22] - '0');
    return true;
}
