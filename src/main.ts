#!/usr/bin/env node
import { processFootprint } from './cli/footprint.ts'
import { runCommandLine } from './cli/index.ts'

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  // Once: a second signal ends the process at once, in case the first one's orderly stop hangs.
  process.once(name, () => stop.abort(new Error(`received ${name}`)))
}

process.exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: stop.signal,
  footprint: processFootprint,
})
