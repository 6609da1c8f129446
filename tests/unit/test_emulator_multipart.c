/* Multipart bodies as clients write them, and as they should not. */
#include "tests/emulator/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *body, struct http_part **parts, size_t *n)
{
    return multipart_parse(body, strlen(body), "B", parts, n);
}

static void parts_keep_names_types_and_bytes(void **state)
{
    (void)state;
    struct http_part *p;
    size_t n;
    const char *body =
        "--B\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n"
        "Content-Type: application/json\r\n\r\n{\"a\":1}\r\n"
        "--B\r\ncontent-disposition: form-data; name=\"files[0]\"; "
        "filename=\"a;b %22\\\"c.txt\"\r\n\r\nx\r\n--\r\n\r\n"
        "--B\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n"
        "--B--\r\n";

    assert_int_equal(parse(body, &p, &n), 0);
    assert_int_equal(n, 3);
    assert_string_equal(p[0].name, "payload_json");
    assert_string_equal(p[0].content_type, "application/json");
    assert_null(p[0].filename);
    assert_int_equal(p[0].len, 7);
    assert_string_equal(p[1].filename, "a;b \"\"c.txt");
    assert_int_equal(p[1].len, 7);
    assert_memory_equal(p[1].data, "x\r\n--\r\n", 7);
    assert_int_equal(p[2].len, 0);
    multipart_free(p, n);
}

static void a_broken_body_is_refused(void **state)
{
    (void)state;
    struct http_part *p;
    size_t n;
    assert_int_equal(parse("", &p, &n), -1);
    assert_int_equal(parse("nothing", &p, &n), -1);
    assert_int_equal(parse("--B\r\n\r\nno name\r\n--B--", &p, &n), -1);
    assert_int_equal(
        parse("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx", &p,
              &n),
        -1);
}

static void boundaries_are_read_quoted_or_not(void **state)
{
    (void)state;
    char *b = multipart_boundary("multipart/form-data; boundary=abc");
    assert_string_equal(b, "abc");
    free(b);
    b = multipart_boundary("multipart/form-data; x=\"1;2\"; boundary=\"a b\"");
    assert_string_equal(b, "a b");
    free(b);
    assert_null(multipart_boundary("multipart/form-data"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_keep_names_types_and_bytes),
        cmocka_unit_test(a_broken_body_is_refused),
        cmocka_unit_test(boundaries_are_read_quoted_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
