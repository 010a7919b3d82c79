// node picture.mjs PAGE PICTURE: the first screen of a report, as PNG.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { launch } from "./browser.mjs";

const [page, picture] = process.argv.slice(2);
const browser = await launch();
const tab = await browser.newPage({ viewport: { width: 1180, height: 1000 }, colorScheme: "light" });
await tab.goto(pathToFileURL(resolve(page)).href);
await tab.screenshot({ path: picture });
await browser.close();
