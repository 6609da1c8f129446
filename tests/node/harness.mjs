// Cases in order, counted; a story whose first case fails is not told on.
export async function runCases(cases, { stopAtFirst = false } = {}) {
    let passed = 0, failed = 0;
    for (const [i, { name, run }] of cases.entries()) {
        const start = Date.now();
        try {
            await run();
            passed++;
            console.log(`ok   ${name} (${Date.now() - start} ms)`);
        } catch (e) {
            failed++;
            console.log(`FAIL ${name}`);
            console.log(String(e?.stack ?? e).replace(/^/gm, '     '));
            if (stopAtFirst && i === 0)
                break;
        }
    }
    return { passed, failed };
}
