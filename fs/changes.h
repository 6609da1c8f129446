/* <table>/.changes: what happens to a table's rows, a line for each change,
 * to be followed. For who hears of changes, opens and ends files; view.h has
 * the view itself. */
#pragma once

#include <stdint.h>

struct change;
struct follower;
struct mount;
struct node;
struct table;

/* Who has the table's .changes open is told of it, on the notifier's thread.
 * dir is the table's directory. Does not wait. */
void changes_tell(struct mount *m, struct node *dir, const struct change *c);

/* The table is gone: who follows it reads what is left, and the end. */
void changes_gone(struct mount *m, const struct table *t);

/* The mount is about to end: all reads that wait are answered, the next ones
 * find the end. The caller has set m->ending. */
void changes_end(struct mount *m);

/* What an open file has of it goes with the file; NULL is fine. */
void follower_free(struct follower *f);
