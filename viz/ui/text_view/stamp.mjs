// Write the digest of the source before the build, so that a test without node sees whether they belong together.
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"

const digest = createHash("sha256").update(readFileSync("src/text_view.ts")).digest("hex")
const file = "text_view.js"
writeFileSync(file, `// Built from src/text_view.ts by npm run build. sha256: ${digest}\n${readFileSync(file, "utf8")}`)
