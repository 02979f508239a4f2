// Write the digest of the source before the build, so that a test without node sees whether they belong together.
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"

const digest = createHash("sha256").update(readFileSync("src/player.ts")).digest("hex")
const file = "player.js"
writeFileSync(file, `// Built from src/player.ts by npm run build. sha256: ${digest}\n${readFileSync(file, "utf8")}`)
