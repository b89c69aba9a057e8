import { bundleCommands } from './command.ts'
import { lendControlPlane } from './shared-control-plane.ts'

/** Before all test files of a Jest run. */
export default async function setUp(): Promise<void> {
  await Promise.all([bundleCommands(), lendControlPlane()])
}
