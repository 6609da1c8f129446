#include "fs/needs.h"

const struct need needs[] = {
    {10, "View Channels", "to see the tables"},
    {11, "Send Messages", "to write rows"},
    {38, "Send Messages in Threads", "to write new versions of rows"},
    {35, "Create Public Threads", "for the history of a table"},
    {13, "Manage Messages", "to remove rows in numbers"},
    {4, "Manage Channels", "to make and drop databases and tables"},
    {34, "Manage Threads", "to keep the history's thread open"},
    {16, "Read Message History", "to read the rows"},
    {15, "Attach Files", "for large rows, batches and snapshots"},
};
const size_t n_needs = sizeof(needs) / sizeof(needs[0]);

uint64_t needs_bits(void)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < n_needs; i++)
        bits |= UINT64_C(1) << needs[i].bit;
    return bits;
}
