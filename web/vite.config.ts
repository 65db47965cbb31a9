import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** The admin address that `npm run dev` asks. */
const admin = process.env.VISITLOG_ADMIN ?? "http://127.0.0.1:8090";

export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: "built/files",
    emptyOutDir: true,
    target: "es2022",
    // Everything is a file of its own, of our own address: the content security policy allows nothing else.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: {
    host: "127.0.0.1",
    proxy: Object.fromEntries(["/api", "/healthz", "/setup"].map((path) => [path, { target: admin, changeOrigin: true }])),
  },
});
