/* verify: is all well, and what is not; repair heals what it can. */
#include "engine/verify.h"

#include <errno.h>

#include "engine/base/buf.h"
#include "engine/command/internal.h"

static void progress(void *arg, const char *text)
{
    call_note(arg, "%s", text);
}

static int put_finding(void *arg, const struct finding *f, struct err *err)
{
    struct command_call *c = arg;
    AUTO_BUF struct buf b = BUF_INIT;

    if (call_stopped(c))
        return err_set(err, -EINTR, "stopped");
    buf_addc(&b, '{');
    json_add_string(&b, "kind", f->kind);
    json_add_string(&b, "severity", finding_severity_name(f->severity));
    if (f->table)
        json_add_string(&b, "table", f->table);
    if (f->key) {
        json_add_name(&b, "key");
        buf_add_json(&b, f->key, f->key_len);
    }
    if (f->channel)
        json_add_id(&b, "channel_id", f->channel);
    if (f->message)
        json_add_id(&b, "message_id", f->message);
    json_add_string(&b, "text", f->text);
    json_add_string(&b, "remedy", f->remedy);
    json_add_bool(&b, "repairable", f->repairable);
    json_add_bool(&b, "repaired", f->repaired);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const char *s_of(size_t n)
{
    return n == 1 ? "" : "s";
}

static int sum_up(struct command_call *c, const struct verify_summary *sum,
                  struct err *err)
{
    call_say(c,
             "%zu table%s with %zu row%s: %zu messages, %zu records and %zu "
             "files (%llu bytes) read; %zu error%s, %zu warning%s, %zu note%s, "
             "%zu repaired",
             sum->tables, s_of(sum->tables), sum->rows, s_of(sum->rows),
             sum->messages, sum->records, sum->files,
             (unsigned long long)sum->file_bytes, sum->errors,
             s_of(sum->errors), sum->warnings, s_of(sum->warnings), sum->notes,
             s_of(sum->notes), sum->repaired);
    if (sum->unhealed == 0)
        return 0;
    return err_set(err, -EBADMSG, "%zu error%s %s not repaired%s",
                   sum->unhealed, s_of(sum->unhealed),
                   sum->unhealed == 1 ? "is" : "are",
                   call_flag(c, "repair") ? "" : ": try verify with repair");
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_NAMESPACE struct namespace *ns = NULL;
    AUTO_TABLE struct table *t = NULL;
    struct verify_summary sum;
    struct verify_options o = {
        .repair = call_flag(c, "repair"),
        .skip_files = call_flag(c, "skip_files"),
        .progress = progress,
    };

    int r = call_namespace(c, &ns, err);
    /* What is repaired from memory must be in memory. */
    if (r == 0 && call_has(c, "table"))
        r = call_table(c, o.repair, &t, err);
    if (r < 0)
        return r;
    r = verify_wait(ns, t, &o, put_finding, c, &sum, err);
    return r < 0 ? r : sum_up(c, &sum, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    {
        .name = "table",
        .type = COMMAND_STRING,
        .offer = OFFER_TABLE,
        .place = 2,
        .help = "this table alone",
    },
    {
        .name = "repair",
        .type = COMMAND_BOOLEAN,
        .help = "heal what can be healed without loss",
    },
    {
        .name = "skip_files",
        .type = COMMAND_BOOLEAN,
        .help = "do not download the texts of large rows, only see that they "
                "are there",
    },
};

const struct command command_verify = {
    .name = "verify",
    .summary = "Read everything again and tell what is not as it should be",
    .details = "Trusts nothing that is meant to save reading: every message "
               "and every attachment is read, the rows are worked out anew and "
               "held against row messages, indexes, snapshots and the catalog. "
               "Each finding has a kind, the id of the message, and a remedy. "
               "Ends with 1 where an error was found and not repaired.",
    .example = "prod users --repair",
    COMMAND_OPTIONS(options),
    .many = true,
    .columns = true,
    .writes_with = "repair",
    .run = run,
};
