'use strict';

const assert = require('node:assert');
const test = require('node:test');
const { Gate, DIAL_WITHIN, mayDial, now } = require('./belpoort.js');

const allow = { verdict: 'VERDICT_ALLOW', reason: 'REASON_OK_CONSENT', permit: 'a.b.c', decision_id: '0199' };

function earlier(ms) {
  const at = now();
  return { monotonic: at.monotonic - BigInt(ms) * 1_000_000n, wall: at.wall - ms };
}

test('only a fresh ALLOW may be dialed', () => {
  assert.equal(mayDial(allow, null, now()), true);
  for (const [name, response, error, sentAt] of [
    ['an error', allow, new Error('away'), now()],
    ['nothing', undefined, undefined, now()],
    ['empty', {}, undefined, now()],
    ['deny', { ...allow, verdict: 'VERDICT_DENY' }, undefined, now()],
    ['a newer verdict', { ...allow, verdict: 77 }, undefined, now()],
    ['a dry run', { ...allow, permit: '', decision_id: '' }, undefined, now()],
    ['too old', allow, undefined, earlier(DIAL_WITHIN)],
    ['too old by the wall clock alone', allow, undefined, { ...now(), wall: Date.now() - DIAL_WITHIN }],
    ['too old by the other clock alone', allow, undefined, { ...earlier(DIAL_WITHIN), wall: Date.now() }],
    ['no time', allow, undefined, undefined],
    ['a time of another kind', allow, undefined, Date.now()],
    ['of the future', allow, undefined, earlier(-1000)],
  ]) {
    assert.equal(mayDial(response, error, sentAt), false, name);
  }
});

test('what cannot be meant is refused', () => {
  for (const options of [
    {}, { address: '127.0.0.1:1' }, { address: 'gate.example:2357', key: 'k' }, { address: '127.0.0.1:1', key: 'k', deadline: 3000 },
  ]) {
    assert.throws(() => new Gate(options));
  }
});
