#!/usr/bin/env node
// Every call the emulator has answered, against Discord's published schemas:
//
//     node validate-trace.mjs http://127.0.0.1:PORT
//
// A request the emulator accepted must be one Discord's specification allows,
// and every answer must be of the form it promises. Exits 1 on any violation,
// 2 when the trace cannot be had.
import { pathToFileURL } from 'node:url';
import { operationFor, responseFor, violations } from './schemas.mjs';

// In use by bots everywhere, though absent from the specification.
const UNDOCUMENTED = [/^POST \/attachments\/refresh-urls$/];

function readQuery(op, search) {
    const query = {};
    for (const [key, text] of search) {
        const reader = op.readers[key] ?? { list: false, read: (s) => s };
        const value = reader.read(text);
        if (reader.list)
            (query[key] ??= []).push(value);
        else
            query[key] = value;
    }
    return query;
}

// Permission bits: the reference says decimal strings, and every library sends
// them; the specification says integers for requests alone.
const BITS = new Set(['allow', 'deny', 'permissions', 'default_member_permissions']);

function specifiedRequest(value) {
    if (Array.isArray(value))
        return value.map(specifiedRequest);
    if (!value || typeof value !== 'object')
        return value;
    return Object.fromEntries(Object.entries(value).map(([key, v]) => [key,
        BITS.has(key) && typeof v === 'string' && /^\d+$/.test(v) ? Number(v) : specifiedRequest(v)]));
}

function checkRequest(op, exchange, url) {
    const found = [];
    const query = readQuery(op, url.searchParams);
    for (const v of violations(op.query, query))
        found.push(`query ${v}`);
    for (const key of Object.keys(query)) {
        if (!(key in op.readers))
            found.push(`query ${key}: not a parameter of this operation`);
    }
    const body = specifiedRequest(exchange.request);
    if (op.takesBody && body !== null && body !== undefined) {
        for (const v of violations(op.body, body))
            found.push(`request ${v}`);
    }
    return found;
}

// Where the specification's error schema and the reference's prose differ, the
// prose is what servers do: codes of single fields are words
// ("BASE_TYPE_REQUIRED"), and a 429 has a code only for some limits. They are
// brought into the schema's form before the rest of the body is checked.
function specifiedError(body, status) {
    const tree = (node) => {
        if (Array.isArray(node))
            return node.map((leaf) => (typeof leaf?.code === 'string' ? { ...leaf, code: 0 } : leaf));
        if (node && typeof node === 'object')
            return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, tree(v)]));
        return node;
    };
    if (!body || typeof body !== 'object')
        return body;
    const out = 'errors' in body ? { ...body, errors: tree(body.errors) } : { ...body };
    if (status === 429)
        out.code ??= 0;
    return out;
}

function checkResponse(op, exchange) {
    if (exchange.status === 0 || exchange.status >= 500)
        return []; // a fault that was asked for
    const schema = responseFor(op, exchange.status);
    if (!schema)
        return [`status ${exchange.status} is none of ${Object.keys(op.responses).join(', ')}`];
    if (exchange.status === 204)
        return exchange.response === null ? [] : ['a 204 with a body'];
    const body = exchange.status >= 400 ? specifiedError(exchange.response, exchange.status)
        : exchange.response;
    return violations(schema, body).map((v) => `response ${v}`);
}

// [] when the exchange is as the specification says.
export function checkExchange(exchange) {
    const url = new URL(exchange.path, 'http://emulator');
    const pathname = url.pathname.replace(/^\/api\/v\d+/, '');
    const op = operationFor(exchange.method, pathname);
    if (!op) {
        if (exchange.status === 404 || exchange.status === 405 ||
            UNDOCUMENTED.some((r) => r.test(`${exchange.method} ${pathname}`)))
            return [];
        return ['no operation of the specification has this method and path'];
    }
    const refused = exchange.status >= 400 || exchange.status === 0;
    return [...(refused ? [] : checkRequest(op, exchange, url)), ...checkResponse(op, exchange)];
}

// {checked, failures: ["POST /path 200: what"]}; the trace is a ring, so long
// runs call this now and then with the `next` of the call before.
export async function validateTrace(base, since = 0) {
    const answer = await fetch(`${base}/emulator/trace?since=${since}`);
    if (!answer.ok)
        throw new Error(`GET /emulator/trace: ${answer.status}`);
    const { exchanges, next } = await answer.json();
    const failures = [];
    for (const x of exchanges) {
        for (const what of checkExchange(x))
            failures.push(`${x.method} ${x.path} ${x.status}: ${what}`);
    }
    return { checked: exchanges.length, failures, next };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    if (process.argv.length !== 3) {
        console.error('usage: validate-trace.mjs http://127.0.0.1:PORT');
        process.exit(2);
    }
    try {
        const { checked, failures } = await validateTrace(process.argv[2].replace(/\/$/, ''));
        for (const f of new Set(failures))
            console.log(f);
        console.log(`${checked} exchanges checked, ${failures.length} violations`);
        process.exit(failures.length ? 1 : 0);
    } catch (e) {
        console.error(`validate-trace: ${e.message}`);
        process.exit(2);
    }
}
