import { build, type Plugin } from 'esbuild'

/** Of what minio's modules import for other things than signing requests: 300 KB to load in each process that uses S3. */
const WITHOUT_SIDE_EFFECTS = /^(lodash|mime-types|ipaddr\.js|query-string)$/

/** Leaves these packages out where nothing of theirs is used. They only define things, and do not say so themselves. */
const unusedImports: Plugin = {
  name: 'unused-imports',
  setup(plugin) {
    plugin.onResolve({ filter: WITHOUT_SIDE_EFFECTS }, async ({ path, pluginData, ...importing }) => {
      if (pluginData === 'resolving') return undefined
      const { kind, importer, resolveDir } = importing
      const found = await plugin.resolve(path, { kind, importer, resolveDir, pluginData: 'resolving' })
      return { ...found, sideEffects: false }
    })
  },
}

/** Bundles commands into a folder: a file for each entry point, and the chunks that they share. */
export async function bundle(entryPoints: readonly string[], outdir: string): Promise<void> {
  await build({
    entryPoints: [...entryPoints],
    entryNames: '[name]',
    outdir,
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node22',
    minifySyntax: true,
    minifyWhitespace: true,
    plugins: [unusedImports],
    // The native addon stays a package of its own; client-node is loaded outside a cluster only.
    external: ['lz4-napi', '@kubernetes/client-node'],
    // CommonJS packages in the bundle call require for Node's own modules.
    banner: {
      js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
    },
  })
}
