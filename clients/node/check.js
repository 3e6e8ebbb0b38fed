'use strict';
// node check.js ADDRESS KEYFILE CALLEE CAMPAIGN CALLER_ID: asks as a dialer does, and prints what it would do.
// Exit codes: 0 dial, 3 do not dial, 5 could not be checked: do not dial.

const fs = require('node:fs');
const { Gate, mayDial, now, whyNot } = require('./belpoort.js');

async function main([address, keyFile, callee, campaign, callerID]) {
  const gate = new Gate({ address, key: fs.readFileSync(keyFile, 'utf8').trim(), deadline: Number(process.env.DEADLINE ?? 1000) });
  const sentAt = now();
  let response, error;
  try {
    response = await gate.checkCall({ callee, campaign, caller_id: callerID });
  } catch (failure) {
    error = failure;
  }
  const may = mayDial(response, error, sentAt);
  console.log(may ? `dial, showing ${response.caller_id}` : `do not dial: ${whyNot(response, error, sentAt)}`);
  gate.close();
  return may ? 0 : error ? 5 : 3;
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code; });
