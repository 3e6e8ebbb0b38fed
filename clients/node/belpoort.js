'use strict';
// Asks Belpoort before each call, from Node.js. Only what mayDial calls true may be dialed: an explicit ALLOW, with its
// permit, whose question was sent less than two seconds ago. An error, a time-out or silence means: do not dial.

const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

// The .proto files beside this client, or where BELPOORT_PROTO says.
const protoFolder = process.env.BELPOORT_PROTO || path.join(__dirname, '..', '..', 'proto');

// An ALLOW is good for dialing so long, in milliseconds, from when its question was sent.
const DIAL_WITHIN = 2000;

const definition = protoLoader.loadSync(['belpoort/v1/gatekeeper.proto', 'belpoort/v1/objection.proto'], {
  includeDirs: [protoFolder], keepCase: true, longs: String, enums: String, defaults: true, oneofs: true,
});
const { belpoort } = grpc.loadPackageDefinition(definition);

// A check is repeated once and a write three times where the service was away, and only while repeats are few.
const serviceConfig = {
  methodConfig: [
    { name: [{ service: 'belpoort.v1.GatekeeperService', method: 'CheckCall' }], retryPolicy: retry(2, '0.002s', '0.01s') },
    {
      name: [{ service: 'belpoort.v1.GatekeeperService', method: 'ReportCall' }, { service: 'belpoort.v1.ObjectionService' }],
      retryPolicy: retry(4, '0.05s', '0.5s'),
    },
  ],
  retryThrottling: { maxTokens: 4, tokenRatio: 0.04 },
};

function retry(maxAttempts, initialBackoff, maxBackoff) {
  return { maxAttempts, initialBackoff, maxBackoff, backoffMultiplier: 2, retryableStatusCodes: ['UNAVAILABLE'] };
}

// now is what to take before a check and to give to mayDial: two clocks, for either alone can be wrong.
function now() {
  return { monotonic: process.hrtime.bigint(), wall: Date.now() };
}

// ageOf is in milliseconds; what is no time of now() is infinitely old.
function ageOf(sentAt) {
  if (typeof sentAt?.monotonic !== 'bigint' || !Number.isFinite(sentAt.wall)) return Infinity;
  const monotonic = Number(process.hrtime.bigint() - sentAt.monotonic) / 1e6;
  return monotonic < 0 ? Infinity : Math.max(monotonic, Date.now() - sentAt.wall);
}

// whyNot says in words for a log why mayDial is false, or null where it is true. It holds no number.
function whyNot(response, error, sentAt) {
  if (error) return `could not be checked: ${error.code ?? ''} ${error.details ?? 'failed'}`;
  if (!response) return 'could not be checked: there is no answer';
  if (response.verdict !== 'VERDICT_ALLOW') return `${response.verdict}, ${response.reason}`;
  if (!response.permit || !response.decision_id) return 'the answer to a dry run gives no leave to dial';
  const age = ageOf(sentAt);
  if (!(age < DIAL_WITHIN)) return `the question was sent ${Math.round(age)} ms ago: ask again`;
  return null;
}

// mayDial is the one way to a yes. Ask it at the moment of dialing.
function mayDial(response, error, sentAt) {
  return whyNot(response, error, sentAt) === null;
}

// Gate is one node of the service, or several behind one name.
class Gate {
  #key;
  #deadline;
  #gatekeeper;
  #objections;

  // options: address (host:port) and key are required; deadline of a check in ms, 50 unless given, 5 to 2000; tls
  // ({ca, key, certificate} as PEM buffers, each optional) or, beyond loopback, plaintext: true.
  constructor({ address, key, deadline = 50, tls, plaintext = false }) {
    if (!address || !key) throw new TypeError('belpoort: address and key are needed');
    if (!(deadline >= 5 && deadline <= DIAL_WITHIN)) throw new RangeError('belpoort: deadline: want 5 to 2000 ms');
    if (!tls && !plaintext && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\]):\d+$/.test(address)) {
      throw new TypeError('belpoort: the address is beyond loopback: give tls, or plaintext where something else encrypts');
    }
    const credentials = tls
      ? grpc.credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.certificate ?? null)
      : grpc.credentials.createInsecure();
    const options = {
      'grpc.service_config': JSON.stringify(serviceConfig), 'grpc.service_config_disable_resolution': 1,
      'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 2000,
    };
    this.#key = key;
    this.#deadline = deadline;
    this.#gatekeeper = new belpoort.v1.GatekeeperService(address, credentials, options);
    this.#objections = new belpoort.v1.ObjectionService(address, credentials, options);
  }

  // checkCall asks whether one call may be dialed; mayDial reads what it resolves to.
  checkCall(request) { return this.#ask(this.#gatekeeper, 'CheckCall', request, this.#deadline); }

  // reportCall tells what became of a call. Repeating it is harmless.
  reportCall(request) { return this.#ask(this.#gatekeeper, 'ReportCall', request, 5000); }

  // registerObjection registers an objection. After any error, repeat it with the same request_id.
  registerObjection(request) { return this.#ask(this.#objections, 'RegisterObjection', request, 5000); }

  // recordObjectionOffer records that the right of objection was offered in a call.
  recordObjectionOffer(request) { return this.#ask(this.#objections, 'RecordObjectionOffer', request, 5000); }

  #ask(service, method, request, deadline) {
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${this.#key}`);
    return new Promise((resolve, reject) => {
      service[method](request, metadata, { deadline: Date.now() + deadline }, (error, response) => {
        if (error) reject(error);
        else resolve(response);
      });
    });
  }

  close() {
    this.#gatekeeper.close();
    this.#objections.close();
  }
}

module.exports = { Gate, DIAL_WITHIN, mayDial, now, whyNot };
