// Adds up the closing lines of the test tiers, `N passed, N failed, N skipped`, into one.
import { readFileSync } from "node:fs";

const total = [0, 0, 0];
for (const [, ...counts] of readFileSync(process.argv[2], "utf8").matchAll(
  /^(\d+) passed, (\d+) failed, (\d+) skipped$/gm,
))
  counts.forEach((count, i) => (total[i] += Number(count)));
console.log(`${total[0]} passed, ${total[1]} failed, ${total[2]} skipped`);
