// Discord's OpenAPI operations as zod schemas.
//
// discord-api-spec publishes the components as zod (`discord-api-spec/zod`)
// and the operations as a TypeScript interface (`Paths`): which schema a
// method and path take and answer stands only there. It is read with the
// TypeScript parser, and the small part of the language it uses is turned
// into zod here.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import * as z from 'zod/mini';
import * as spec from 'discord-api-spec/zod';

// The package exports its types to TypeScript alone.
const TYPES = fileURLToPath(
    new URL('node_modules/discord-api-spec/build/discord-api-spec.ts', import.meta.url));

function pathsInterface() {
    const source = ts.createSourceFile(TYPES, readFileSync(TYPES, 'utf8'), ts.ScriptTarget.Latest);
    const found = source.statements.find(
        (s) => ts.isInterfaceDeclaration(s) && s.name.text === 'Paths');
    if (!found)
        throw new Error(`${TYPES}: no interface Paths`);
    return { source, members: found.members };
}

function nameOf(node) {
    return ts.isStringLiteral(node) || ts.isNumericLiteral(node) ? node.text : node.escapedText;
}

function objectSchema(node, source) {
    const shape = {};
    for (const member of node.members) {
        if (ts.isIndexSignatureDeclaration(member))
            return z.record(z.string(), toZod(member.type, source));
        const inner = toZod(member.type, source);
        shape[nameOf(member.name)] = member.questionToken ? z.optional(inner) : inner;
    }
    return z.looseObject(shape);
}

function toZod(node, source) {
    switch (node.kind) {
    case ts.SyntaxKind.StringKeyword:
        return z.string();
    case ts.SyntaxKind.NumberKeyword:
        return z.number();
    case ts.SyntaxKind.BooleanKeyword:
        return z.boolean();
    case ts.SyntaxKind.UndefinedKeyword:
        return z.undefined();
    case ts.SyntaxKind.NeverKeyword:
        return z.optional(z.never());
    case ts.SyntaxKind.UnknownKeyword:
    case ts.SyntaxKind.AnyKeyword:
        return z.unknown();
    case ts.SyntaxKind.ParenthesizedType:
        return toZod(node.type, source);
    case ts.SyntaxKind.ArrayType:
        return z.array(toZod(node.elementType, source));
    case ts.SyntaxKind.UnionType:
        return z.union(node.types.map((t) => toZod(t, source)));
    case ts.SyntaxKind.IntersectionType:
        return node.types.map((t) => toZod(t, source)).reduce((a, b) => z.intersection(a, b));
    case ts.SyntaxKind.TypeLiteral:
        return objectSchema(node, source);
    case ts.SyntaxKind.LiteralType:
        if (node.literal.kind === ts.SyntaxKind.NullKeyword)
            return z.null();
        if (node.literal.kind === ts.SyntaxKind.TrueKeyword)
            return z.literal(true);
        if (node.literal.kind === ts.SyntaxKind.FalseKeyword)
            return z.literal(false);
        return z.literal(ts.isNumericLiteral(node.literal) ? Number(node.literal.text) : node.literal.text);
    case ts.SyntaxKind.TypeReference: {
        const name = node.typeName.escapedText;
        if (name === 'Record')
            return z.record(z.string(), toZod(node.typeArguments[1], source));
        const schema = spec[`${name}Schema`];
        if (!schema)
            throw new Error(`discord-api-spec has no schema for ${name}`);
        return schema;
    }
    default:
        throw new Error(`cannot read the type ${node.getText(source)}`);
    }
}

function member(node, name) {
    return node.members.find((m) => nameOf(m.name) === name);
}

// {name: how its text becomes a value}, for query parameters.
function queryReaders(node, source) {
    const readers = {};
    if (!ts.isTypeLiteralNode(node))
        return readers;
    for (const m of node.members) {
        const list = ts.isArrayTypeNode(m.type);
        const kind = (list ? m.type.elementType : m.type).kind;
        const read = kind === ts.SyntaxKind.NumberKeyword ? (s) => (/^-?\d+$/.test(s) ? Number(s) : s)
            : kind === ts.SyntaxKind.BooleanKeyword ? (s) => ({ true: true, True: true, 1: true,
                false: false, False: false, 0: false }[s] ?? s)
            : (s) => s;
        readers[nameOf(m.name)] = { list, read };
    }
    return readers;
}

function readOperation(method, template, type, source) {
    const parameters = member(type, 'parameters').type;
    const query = member(parameters, 'query').type;
    const body = member(type, 'requestBody').type;
    const responses = {};
    for (const r of member(type, 'responses').type.members)
        responses[nameOf(r.name)] = toZod(r.type, source);
    return {
        method: method.toUpperCase(),
        template,
        segments: template.split('/').slice(1),
        query: query.kind === ts.SyntaxKind.NeverKeyword ? z.object({}) : toZod(query, source),
        readers: queryReaders(query, source),
        body: toZod(body, source),
        takesBody: body.kind !== ts.SyntaxKind.UndefinedKeyword,
        responses,
    };
}

function readOperations() {
    const { source, members } = pathsInterface();
    const list = [];
    for (const p of members) {
        for (const m of p.type.members)
            list.push(readOperation(nameOf(m.name), nameOf(p.name), m.type, source));
    }
    return list;
}

export const operations = readOperations();

// Literal segments win over parameters, as on the server.
export function operationFor(method, pathname) {
    const segments = pathname.split('/').slice(1);
    let best = null, bestLiterals = -1;
    for (const op of operations) {
        if (op.method !== method || op.segments.length !== segments.length)
            continue;
        let literals = 0;
        const fits = op.segments.every((s, i) => {
            if (s.startsWith('{'))
                return segments[i] !== '';
            literals++;
            return s === segments[i];
        });
        if (fits && literals > bestLiterals) {
            best = op;
            bestLiterals = literals;
        }
    }
    return best;
}

export function responseFor(op, status) {
    return op.responses[String(status)] ?? op.responses[`${String(status)[0]}XX`] ?? null;
}

// zod's date-time is the form with Z; Discord writes +00:00, the same moment
// and as good by RFC 3339, which is what the specification names.
function normalizeTimes(value) {
    if (typeof value === 'string')
        return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/.test(value)
            ? value.replace('+00:00', 'Z') : value;
    if (Array.isArray(value))
        return value.map(normalizeTimes);
    if (value && typeof value === 'object')
        return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, normalizeTimes(v)]));
    return value;
}

// What zod says against value, a line each; of a union's branches those of
// the branch that got furthest.
function explain(issue, at) {
    const where = [...at, ...issue.path];
    if (issue.code === 'invalid_union' && issue.errors?.length) {
        const depth = (errors) => errors.length === 0 ? 0
            : Math.max(...errors.map((e) => e.path.length)) * 100 - errors.length;
        const best = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0];
        if (best.length > 0)
            return best.flatMap((i) => explain(i, where));
    }
    return [`${where.join('.') || '(top)'}: ${issue.code}: ${issue.message}`];
}

export function violations(schema, value) {
    const result = z.safeParse(schema, normalizeTimes(value));
    return result.success ? [] : result.error.issues.flatMap((i) => explain(i, []));
}
