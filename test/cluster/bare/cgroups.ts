import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '../processes.ts'

const root = '/sys/fs/cgroup'

/** Makes the control group (version 1 or 2) that all pods' groups are made in. */
export async function createControlGroup(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const group = join(hierarchy, name)
    await mkdir(group, { recursive: true })
    // In version 1 a new group has no CPUs and no memory nodes, and takes no process until it has.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (hierarchy !== root && existsSync(join(group, file))) {
        await writeFile(join(group, file), await readFile(join(hierarchy, file)))
      }
    }
  }
}

/** Removes the control group, when its processes have ended, with all groups inside. */
export async function removeControlGroup(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const group = join(hierarchy, name)
    await waitFor(`control group ${group} is removed`, 10_000, async () => {
      if (existsSync(group)) await removeTree(group)
      return true
    })
  }
}

/** The files of a group are the kernel's and vanish with it: only directories are removed. */
async function removeTree(group: string): Promise<void> {
  for (const entry of await readdir(group, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeTree(join(group, entry.name))
  }
  await rmdir(group)
}

/** Version 2 has one hierarchy; version 1 has one a controller. */
async function hierarchies(): Promise<string[]> {
  if (existsSync(join(root, 'cgroup.controllers'))) return [root]
  const entries = await readdir(root, { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(root, entry.name))
}
