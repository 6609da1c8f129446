/* Files to import, in each format: the first byte says which, and whether there
 * is a schema. */
#include <errno.h>
#include <string.h>

#include "engine/base/str.h"
#include "engine/import_rows.h"
#include "engine/json.h"
#include "tests/fuzz/fuzz.h"

static const char definition[] =
    "{\"pk\":\"id\",\"properties\":{\"id\":\"str\",\"n\":\"int\","
    "\"o\":\"object\"}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema *schema = NULL;
    struct import_row row;
    struct place at;
    struct err err;
    size_t rows = 0, before = 0;
    int r;

    if (size == 0)
        return 0;
    if (data[0] & 8)
        REQUIRE(schema_parse(definition, strlen(definition), &schema, NULL) ==
                0);
    const char *text = (const char *)data + 1;
    size--;
    enum import_format format = (enum import_format)(data[0] & 7);
    if (format > IMPORT_TSV)
        format = import_format_guess(NULL, text, size);

    struct import_reader *reader =
        import_reader_new(format, text, size, schema);
    for (;;) {
        err = ERR_INIT;
        r = import_reader_next(reader, &row, &at, &err);
        if (r == 0)
            break;
        size_t offset = import_reader_offset(reader);
        REQUIRE(at.line > 0 && at.column > 0);
        REQUIRE(offset <= size && offset >= before);
        /* It comes to an end. */
        REQUIRE(++rows <= size + 2);
        before = offset;
        if (r < 0) {
            REQUIRE(err.text[0]);
            continue;
        }
        REQUIRE(json_check(row.text, row.len, NULL) == 0);
        REQUIRE(utf8_valid(row.text, row.len));
        REQUIRE(!row.verbatim ||
                (row.text >= text && row.text + row.len <= text + size));
        struct place p = import_reader_place(reader, &row, row.len - 1);
        REQUIRE(p.line >= row.at.line);
    }
    import_reader_free(reader);
    schema_unref(schema);
    return 0;
}
