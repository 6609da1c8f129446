/* Trouble on request: POST /emulator/faults. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct call;
struct emulator;
struct json_object;

enum fault_kind {
    FAULT_NONE,
    FAULT_STATUS,     /* answered with this status, not done */
    FAULT_DROP,       /* not done, the connection is closed */
    FAULT_DROP_AFTER, /* done, and the connection closed without an answer */
    FAULT_DELAY,      /* done after so many milliseconds of real time */
    FAULT_TRUNCATE,   /* done; the answer's body is cut short */
};

struct fault {
    enum fault_kind kind;
    int status; /* of FAULT_STATUS */
    int64_t ms; /* of FAULT_DELAY; Retry-After of a 429 */
};

void faults_open(struct emulator *e);
void faults_close(struct emulator *e);

/* {"route":…,"method"?:…,"times":n,"do":…}; NULL, or what is wrong with it.
 * A route is a template as in /emulator/requests, "*" is any, "/attachments"
 * the CDN. */
const char *faults_add(struct emulator *e, struct json_object *o);
void faults_clear(struct emulator *e);
/* What is left to happen. */
struct json_object *faults_json(struct emulator *e);

/* The next one for this request, used up by one. */
struct fault faults_take(struct emulator *e, const char *method,
                         const char *route);
