import { build } from 'esbuild'

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
    // The native addon stays a package of its own; client-node is loaded outside a cluster only.
    external: ['lz4-napi', '@kubernetes/client-node'],
    // CommonJS packages in the bundle call require for Node's own modules.
    banner: {
      js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
    },
  })
}
