/** `npm run quickstart [-- --down]`: a dump and a restore on a real cluster, end to end. */
import { ensureCluster } from './index.ts'
import { say } from './progress.ts'
import { describeError } from './quickstart/diagnosis.ts'
import { takeAway } from './quickstart/down.ts'
import { playQuickstart } from './quickstart/story.ts'

const usage = 'Usage: npm run quickstart [-- --down]'

const actions: Readonly<Record<string, () => Promise<void>>> = {
  '': async () => playQuickstart(await ensureCluster()),
  '--down': takeAway,
}

const args = process.argv.slice(2)
const action = actions[args.join(' ')]
if (action === undefined) {
  say(usage)
  process.exitCode = 2
} else {
  try {
    await action()
  } catch (error) {
    say(`\nThe quickstart has failed.\n${describeError(error)}`)
    // Steps beside the one that failed may go on for minutes, and nobody needs them any more.
    process.exit(1)
  }
}
