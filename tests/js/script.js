// The page's script without its face, as one function's inside: it has no module system, as pages have none.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const folder = path.join(__dirname, "../../admitgate/templates/admitgate");
const names = ["isStatus", "makesNews", "movesTo", "pollSeconds", "positionOf", "smoothed", "visitorInLine", "waitForm"];
const texts = ["line.js", "waiting.js"].map((name) => fs.readFileSync(path.join(folder, name), "utf8"));

module.exports = new Function(`"use strict";\n${texts.join("\n")}\nreturn { ${names.join(", ")} };`)();
