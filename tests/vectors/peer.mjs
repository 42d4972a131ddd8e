// SPDX-License-Identifier: Apache-2.0
// A peer that is not ours, on Debian's node-jose (the library of npm's `jose`).
//   peer.mjs verify FILE   checks what token-mint wrote
//   peer.mjs sign COUNT    writes presentations in the form of token_cases.json: good ones, and each with one change
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'

const jose = await import('file:///usr/share/nodejs/jose/dist/node/esm/index.js')
const sha = (s) => createHash('sha256').update(s).digest('base64url')
const NOW = 1790000000

let passed = 0
let failed = 0
async function test(name, f) {
	try {
		await f()
		passed++
	} catch (e) {
		failed++
		console.log(`wrong: ${name}: ${e.message}`)
	}
}
function must(cond, what) {
	if (!cond) throw new Error(what)
}

async function verify(file) {
	const set = JSON.parse(readFileSync(file, 'utf8'))
	const options = { algorithms: ['ES256'], currentDate: new Date(set.now * 1000) }
	for (const [i, { wit, wpt }] of set.pairs.entries()) {
		await test(`pair ${i}`, async () => {
			const host = await jose.importJWK(set.host_jwk, 'ES256')
			const w = await jose.jwtVerify(wit, host, { ...options, typ: 'wit+jwt' })
			must(w.protectedHeader.kid === (await jose.calculateJwkThumbprint(set.host_jwk)), 'kid')
			const proof = await jose.importJWK(w.payload.cnf.jwk)
			const p = await jose.jwtVerify(wpt, proof, {
				...options, typ: 'wpt+jwt', maxTokenAge: 60, audience: 'spiffe://example.org/ns/prod/api',
			})
			must(p.protectedHeader.alg === w.payload.cnf.jwk.alg, 'alg')
			must(p.payload.wth === sha(wit), 'wth')
			must(Number.isSafeInteger(p.payload['cleat/conn'].seq), 'seq')
			must(w.payload.aud === undefined && w.payload.jti.length > 0, 'claims')
		})
		await test(`pair ${i} changed`, async () => {
			const host = await jose.importJWK(set.host_jwk, 'ES256')
			const changed = wit.slice(0, -6) + (wit.at(-6) === 'A' ? 'B' : 'A') + wit.slice(-5)
			await jose.jwtVerify(changed, host, options).then(() => must(false, 'it holds'), () => {})
		})
	}
	console.log(`${passed} right, ${failed} wrong`)
	process.exitCode = failed || !passed ? 1 : 0
}

// One presentation; change(o) alters header, claims or keys before they are signed.
async function present(host, kid, change) {
	const workload = await jose.generateKeyPair('ES256', { extractable: true })
	const { kty, crv, x, y } = await jose.exportJWK(workload.publicKey)
	const cb = randomBytes(32).toString('base64url')
	const o = {
		wh: { alg: 'ES256', typ: 'wit+jwt', kid },
		w: {
			iss: 'spiffe://example.org/host/peer', sub: 'spiffe://example.org/ns/prod/web', iat: NOW - 60,
			nbf: NOW - 60, exp: NOW + 3000, jti: randomBytes(16).toString('base64url'),
			cnf: { jwk: { kty, crv, x, y, alg: 'ES256' } },
			ueid: Buffer.concat([Buffer.from([1]), randomBytes(16)]).toString('base64url'),
			bootseed: randomBytes(16).toString('base64url'),
		},
		ph: { alg: 'ES256', typ: 'wpt+jwt' },
		p: {
			aud: 'spiffe://example.org/ns/prod/api', iat: NOW - 2, exp: NOW + 28,
			jti: randomBytes(16).toString('base64url'),
			'cleat/conn': { v: 1, role: 'client', cb, est: (NOW - 5) * 1000, seq: 1 },
			'cleat/level': 'full', 'cleat/proc': { inst: sha(cb) },
		},
		hostKey: host.privateKey, proofKey: workload.privateKey,
	}
	change(o)
	const sign = (header, claims, key) => new jose.CompactSign(Buffer.from(JSON.stringify(claims)))
		.setProtectedHeader(header).sign(key)
	const wit = await sign(o.wh, o.w, o.hostKey)
	o.p.wth ??= sha(wit)
	return { wit, wpt: await sign(o.ph, o.p, o.proofKey), cb }
}

async function sign(count) {
	const host = await jose.generateKeyPair('ES256', { extractable: true })
	const rogue = await jose.generateKeyPair('ES256', { extractable: true })
	const jwk = await jose.exportJWK(host.publicKey)
	const kid = await jose.calculateJwkThumbprint(jwk)
	const changes = {
		'ok': () => {},
		'ok, long types': (o) => { o.wh.typ = 'application/wit+jwt'; o.ph.typ = 'application/wpt+jwt' },
		'host key not the bundle\'s': (o) => { o.hostKey = rogue.privateKey },
		'proof key not cnf\'s': (o) => { o.proofKey = rogue.privateKey },
		'typ swapped': (o) => { o.wh.typ = 'wpt+jwt'; o.ph.typ = 'wit+jwt' },
		'wth of another': (o) => { o.p.wth = sha('another') },
		'expired': (o) => { o.p.iat = NOW - 100; o.p.exp = NOW - 70 },
		'other audience': (o) => { o.p.aud = 'spiffe://example.org/ns/prod/db' },
		'other role': (o) => { o.p['cleat/conn'].role = 'server' },
		'no proc': (o) => { delete o.p['cleat/proc'] },
	}
	const cases = []
	for (let i = 0; i < count; i++) {
		for (const [id, change] of Object.entries(changes)) {
			const { wit, wpt, cb } = await present(host, kid, change)
			cases.push({
				id: `${id} (${i})`, expect: id.startsWith('ok') ? 'accept' : 'reject', wit, wpt,
				ctx: {
					now: NOW, aud: 'spiffe://example.org/ns/prod/api', conn_binding: cb,
					conn_established_ms: (NOW - 5) * 1000 + 100, est_tolerance_ms: 2000, expect_role: 'client',
					cb_on_other_socket: false, require_level: 'reduced', leeway: 30, max_wpt_lifetime: 60,
					seq_seen: [],
				},
			})
		}
	}
	const entry = {
		...jwk, kid, use: 'wit-svid', cleat_issuer: 'spiffe://example.org/host/peer',
		cleat_scope: ['spiffe://example.org/ns/prod'],
	}
	console.log(JSON.stringify({ trust_domain: 'example.org', bundle: { keys: [entry] }, cases }))
}

const [command, argument] = process.argv.slice(2)
if (command === 'verify') await verify(argument)
else if (command === 'sign') await sign(Number(argument))
else { console.error('usage: peer.mjs verify FILE | sign COUNT'); process.exitCode = 2 }
