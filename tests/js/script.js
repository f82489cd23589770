// The page's script without its face, as one function's inside: it has no module system, as pages have none.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const folder = path.join(__dirname, "../../admitgate/templates/admitgate");
const names = [
  "countdownOf", "countingBy", "drawnBy", "isStatus", "makesNews", "movesTo", "placeInDraw", "pollSeconds", "positionOf", "sha256", "smoothed",
  "visitorInLine", "waitForm",
];
const files = ["sha256.js", "draw.js", "line.js", "waiting.js"].map((name) => path.join(folder, name));
// As pages have it, or in fewer letters, as they are sent.
const texts = (process.env.ADMITGATE_SCRIPT ? [process.env.ADMITGATE_SCRIPT] : files)
  .map((file) => fs.readFileSync(file, "utf8"));

module.exports = new Function(`"use strict";\n${texts.join("\n")}\nreturn { ${names.join(", ")} };`)();
