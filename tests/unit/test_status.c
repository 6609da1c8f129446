#include "engine/discord/status.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

static int error_of(long http, const char *body, struct err *err)
{
    struct status s;

    *err = ERR_INIT;
    status_read(&s, http, body, strlen(body));
    int r = status_error(&s, false, err);
    assert_true(r < 0);
    assert_true(strlen(err->text) > 0);
    assert_true(utf8_valid(err->text, strlen(err->text)));
    return r;
}

static void each_failure_has_its_number(void **state)
{
    static const struct {
        long http;
        const char *body;
        int r;
        const char *says;
    } cases[] = {
        {401, "{\"message\":\"401: Unauthorized\",\"code\":0}", -EPERM,
         "DISCORD_BOT_TOKEN"},
        {403, "{\"message\":\"Missing Access\",\"code\":50001}", -EACCES,
         "View Channel"},
        {403, "{\"message\":\"Missing Permissions\",\"code\":50013}", -EACCES,
         "doctor"},
        {403, "{\"message\":\"Unknown Message\",\"code\":10008}", -EACCES,
         "abuse"},
        {403, "{\"message\":\"internal network error\",\"code\":40333}", -EIO,
         "Cloudflare"},
        {404, "{\"message\":\"Unknown Message\",\"code\":10008}", -ENOENT,
         "no such message"},
        {404, "{\"message\":\"Unknown Channel\",\"code\":10003}", -ENOENT,
         "no such channel"},
        {404, "{\"message\":\"404: Not Found\",\"code\":0}", -ENOENT, "404"},
        {413, "{\"message\":\"Request entity too large\",\"code\":40005}",
         -EFBIG, "larger"},
        {413, "<html>", -EFBIG, "413"},
        {400,
         "{\"message\":\"Maximum number of guild channels reached (500)\","
         "\"code\":30013}",
         -ENOSPC, "500"},
        {400, "{\"message\":\"x\",\"code\":30099}", -ENOSPC, "limit"},
        {400, "{\"message\":\"Max active threads\",\"code\":160006}", -ENOSPC,
         "threads"},
        {400,
         "{\"message\":\"Invalid Form Body\",\"code\":50035,\"errors\":{"
         "\"parent_id\":{\"_errors\":[{\"code\":\"CHANNEL_PARENT_MAX_CHANNELS\""
         ",\"message\":\"Maximum number of channels in category reached (50)\""
         "}]}}}",
         -ENOSPC, "category"},
        {400,
         "{\"message\":\"Invalid Form Body\",\"code\":50035,\"errors\":{"
         "\"embeds\":{\"0\":{\"title\":{\"_errors\":[{\"code\":\"X\","
         "\"message\":\"Must be 256 or fewer in length.\"}]}}}}}",
         -EINVAL, "embeds.0.title: Must be 256"},
        {400, "{\"message\":\"Cannot send an empty message\",\"code\":50006}",
         -EINVAL, "empty"},
        {400, "{\"message\":\"blocked\",\"code\":200000}", -EACCES, "AutoMod"},
        {400, "{\"message\":\"Thread is archived\",\"code\":50083}", -EACCES,
         "archived"},
        {202, "{\"message\":\"Index not yet available\",\"code\":110000}",
         -EAGAIN, "later"},
        {500, "", -EIO, "500"},
        {503, "{\"message\":\"overloaded\",\"code\":130000}", -EAGAIN, "later"},
        {302, "", -EIO, "redirect"},
        {418, "[]", -EIO, "418"},
        {400, "{\"message\":[],\"code\":\"x\",\"errors\":[1]}", -EINVAL, "400"},
        {400, "{\"message\":\"m\",\"errors\":{\"a\":{\"_errors\":[7]}}}",
         -EINVAL, "not valid"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err;
        int r = error_of(cases[i].http, cases[i].body, &err);
        if (r != cases[i].r || !strstr(err.text, cases[i].says))
            fail_msg("%ld %s -> %d \"%s\"", cases[i].http, cases[i].body, r,
                     err.text);
    }
}

static void a_401_of_an_interaction_is_its_own(void **state)
{
    const char *body = "{\"message\":\"Invalid Webhook Token\",\"code\":50027}";
    struct status s;
    struct err err = ERR_INIT;

    (void)state;
    status_read(&s, 401, body, strlen(body));
    assert_int_equal(status_error(&s, true, &err), -EACCES);
}

static void a_429_says_how_long(void **state)
{
    const char *body = "{\"message\":\"You are being rate limited.\","
                       "\"retry_after\":64.57,\"global\":true,\"code\":30046}";
    const char *odd = "{\"message\":\"x\",\"retry_after\":-3,\"global\":1}";
    struct status s;

    (void)state;
    status_read(&s, 429, body, strlen(body));
    assert_true(s.json && s.global);
    assert_int_equal(s.code, 30046);
    assert_true(s.retry_after > 64.5 && s.retry_after < 64.6);
    status_read(&s, 429, odd, strlen(odd));
    assert_true(s.retry_after < 0);
    assert_false(s.global);
    status_read(&s, 429, "<html>", 6);
    assert_false(s.json);
}

/* A server's text is long, has line ends, or is cut inside a character. */
static void texts_from_outside_become_one_line(void **state)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct err err;

    (void)state;
    buf_addstr(&b, "{\"code\":1,\"message\":\"a\\nb\\u001b[31m");
    for (int i = 0; i < 500; i++)
        buf_addstr(&b, "\xc3\xbc");
    buf_addstr(&b, "\"}");
    error_of(400, b.data, &err);
    for (const char *c = err.text; *c; c++)
        assert_true((unsigned char)*c >= 0x20);
}

static void transfers_that_broke_have_their_numbers(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(
        status_transfer_error(CURLE_COULDNT_RESOLVE_HOST, "h", &err),
        -ENETUNREACH);
    assert_non_null(strstr(err.text, "h"));
    assert_int_equal(status_transfer_error(CURLE_COULDNT_CONNECT, "h", &err),
                     -ENETUNREACH);
    assert_int_equal(status_transfer_error(CURLE_OPERATION_TIMEDOUT, "h", &err),
                     -ETIMEDOUT);
    assert_int_equal(status_transfer_error(CURLE_GOT_NOTHING, "h", &err),
                     -ENETUNREACH);
    assert_int_equal(
        status_transfer_error(CURLE_PEER_FAILED_VERIFICATION, "h", &err), -EIO);
    assert_true(status_never_left(CURLE_COULDNT_CONNECT));
    assert_false(status_never_left(CURLE_RECV_ERROR));
    assert_true(status_transfer_passes(CURLE_RECV_ERROR));
    assert_false(status_transfer_passes(CURLE_PEER_FAILED_VERIFICATION));
    assert_true(status_passes(502));
    assert_true(status_passes(524));
    assert_false(status_passes(404));
    assert_false(status_passes(200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_has_its_number),
        cmocka_unit_test(a_401_of_an_interaction_is_its_own),
        cmocka_unit_test(a_429_says_how_long),
        cmocka_unit_test(texts_from_outside_become_one_line),
        cmocka_unit_test(transfers_that_broke_have_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
