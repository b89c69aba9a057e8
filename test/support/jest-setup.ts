import { join } from 'node:path'
import { readSettings } from '../cluster/settings.ts'
import { lendControlPlane } from './shared-control-plane.ts'

/** Before all test files of a Jest run. */
export default async function setUp(): Promise<void> {
  // Tests start our commands from their sources; kept, what Node compiles of them is half of what a start costs.
  process.env['NODE_COMPILE_CACHE'] ??= join(readSettings().cacheDirectory, 'compiled')
  await lendControlPlane()
}
