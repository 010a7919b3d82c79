// Opens every report.html below REPORTS in Chromium, and checks what only a browser can tell. `make browser` runs it.
//
// Accessibility is checked with axe-core, all rules, in light and dark, on a desktop and on a phone. The score is
// computed as Lighthouse does it: the weighted share of the applicable rules that the page passes, a rule counting 10, 7,
// 3 or 1 as its impact is critical, serious, moderate or minor.

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { launch } from "./browser.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WEIGHTS = { critical: 10, serious: 7, moderate: 3, minor: 1 };
const LEAST_SCORE = 95;
const MOST_BYTES = 10_000_000;
const SCREENS = {
  desktop: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

const folder = process.env.REPORTS;
assert.ok(folder, "REPORTS must name a folder of runs");
const pages = readdirSync(folder).filter((name) => existsSync(join(folder, name, "report.html"))).sort();
assert.ok(pages.length > 0, `no report.html below ${folder}`);
const urlOf = (name) => pathToFileURL(join(folder, name, "report.html")).href;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Opens a report, hands it to `use`, and fails if the page asked for anything or complained. */
async function withReport(name, options, use) {
  const context = await browser.newContext({ colorScheme: "light", ...SCREENS.desktop, ...options });
  const url = urlOf(name);
  const complaints = [];
  context.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) complaints.push(`request: ${request.url()}`);
  });
  try {
    const page = await context.newPage();
    page.on("console", (message) => complaints.push(`console ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    await page.goto(url, { waitUntil: "load" });
    await use(page);
    assert.deepEqual(complaints, []);
    assert.equal(page.url().split("#")[0], url, "the page stays where it is");
  } finally {
    await context.close();
  }
}

async function screenshot(page, name) {
  if (!process.env.SCREENSHOTS) return;
  mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
}

/** What reaches beyond the screen's right edge and is not in a box that scrolls. */
function tooWide(page, width) {
  return page.evaluate((width) => {
    const scrolls = (of) => of.closest(".scroll, pre, dialog, .visually-hidden, .skip");
    const wide = [...document.querySelectorAll("body *")].filter((of) =>
      !scrolls(of.parentElement) && !of.closest("svg *") && of.getBoundingClientRect().right > width + 0.5);
    return wide.slice(0, 5).map((of) => `${of.outerHTML.slice(0, 120)}: ${of.getBoundingClientRect().right}`);
  }, width);
}

/** Texts whose contrast with what lies under them is below 4.5, charts and all that is scrolled away included. */
function faintText(page) {
  return page.evaluate(() => {
    const parse = (colour) => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      return { rgb: [r, g, b], alpha: a / 255 };
    };
    const known = new Map();
    const colourOf = (text) => known.get(text) ?? known.set(text, parse(text)).get(text);
    const over = (top, under) => top.rgb.map((value, at) => value * top.alpha + under[at] * (1 - top.alpha));
    const luminance = (rgb) => {
      const linear = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
      return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);
    const ground = (of) => {
      const under = of.parentElement ? ground(of.parentElement) : [255, 255, 255];
      return over(colourOf(getComputedStyle(of).backgroundColor), under);
    };
    const faint = [];
    const look = (of, ink, paper) => {
      const ratio = contrast(over(colourOf(ink), paper), paper);
      if (ratio < 4.5) faint.push(`${of.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)} on ${paper.map(Math.round)}`);
    };
    for (const svg of document.querySelectorAll("svg.chart")) {
      const rectangles = [...svg.querySelectorAll("rect")].map((of) => ({ of, box: of.getBoundingClientRect() }));
      const paper = ground(svg.parentElement);
      for (const text of svg.querySelectorAll("text")) {
        const box = text.getBoundingClientRect();
        const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
        const under = rectangles.filter(({ of, box }) => of.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING
          && box.left <= x && x <= box.right && box.top <= y && y <= box.bottom).pop();
        look(text, getComputedStyle(text).fill, under ? over(colourOf(getComputedStyle(under.of).fill), paper) : paper);
      }
    }
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const of = walker.currentNode.parentElement;
      if (walker.currentNode.textContent.trim() && !of.closest("svg, script, style")) look(of, getComputedStyle(of).color, ground(of));
    }
    return faint.slice(0, 8);
  });
}

/** What axe-core finds with all its rules, and the score. */
async function accessibility(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const brief = (rules) => rules.map(({ id, impact, help, nodes }) => ({
      id, impact, help, count: nodes.length,
      places: nodes.slice(0, 4).map((node) => `${node.target.join(" ")}: ${node.any[0]?.message ?? ""}`),
    }));
    const axe = globalThis.axe;
    const result = await axe.run(document, { resultTypes: ["violations", "incomplete", "passes"] });
    const impacts = Object.fromEntries(axe._audit.rules.map((rule) => [rule.id, rule.impact]));
    return {
      impacts, passes: result.passes.map((rule) => rule.id), violations: brief(result.violations),
      // Contrast that it cannot decide, under charts and in scroll boxes, is looked at by `faintText`.
      undecided: brief(result.incomplete.filter((rule) => rule.id !== "color-contrast")),
    };
  });
  const weight = (id) => WEIGHTS[found.impacts[id]] ?? WEIGHTS.minor;
  const sum = (ids) => ids.reduce((total, id) => total + weight(id), 0);
  const failed = found.violations.map((rule) => rule.id);
  const passed = sum(found.passes.filter((id) => !failed.includes(id)));
  return { ...found, score: (100 * passed) / (passed + sum(failed)) };
}

for (const name of pages) {
  describe(name, () => {
    for (const [screen, device] of Object.entries(SCREENS)) {
      test(`is accessible and fits: ${screen}`, async () => {
        await withReport(name, device, async (page) => {
          const width = device.viewport.width;
          assert.deepEqual(await tooWide(page, width), []);
          await screenshot(page, `${name}-${screen}`);
          // What is folded away must be as good as the rest.
          await page.evaluate(() => document.querySelectorAll("details").forEach((of) => { of.open = true; }));
          assert.deepEqual(await tooWide(page, width), []);
          for (const colorScheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme });
            const { violations, undecided, passes, score } = await accessibility(page);
            assert.ok(passes.length > 20, `axe-core checked ${passes.length} rules only`);
            assert.deepEqual(violations, [], colorScheme);
            assert.deepEqual(undecided, [], colorScheme);
            assert.deepEqual(await faintText(page), [], colorScheme);
            assert.ok(score >= LEAST_SCORE, `score ${score}`);
          }
        });
      });
    }

    test("is small", () => assert.ok(statSync(join(folder, name, "report.html")).size < MOST_BYTES));

    test("obeys a strict policy", async () => {
      await withReport(name, {}, async (page) => {
        const policy = await page.locator("meta[http-equiv=Content-Security-Policy]").getAttribute("content");
        assert.match(policy, /default-src 'none'/);
        assert.doesNotMatch(policy, /script-src[^;]*'unsafe/);
        assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
        assert.equal(await page.locator("script").count(), 1);
        assert.equal(await page.locator("iframe, object, embed, link, img:not([src^='data:'])").count(), 0);
      });
    });

    test("can be read without JavaScript", async () => {
      await withReport(name, { javaScriptEnabled: false }, async (page) => {
        for (const heading of await page.locator("h1, h2").all()) assert.ok(await heading.isVisible());
        assert.ok(await page.locator("#cells tbody tr").count() > 0);
        const charts = await page.locator("svg.chart").all();
        assert.ok(charts.length > 0);
        for (const chart of charts) assert.ok((await chart.boundingBox()).height > 100);
        // Nothing that would need a script is offered.
        assert.equal(await page.locator("button:visible, input:visible").count(), 0);
        await screenshot(page, `${name}-no-script`);
      });
    });

    test("has anchors for all that it links to", async () => {
      await withReport(name, {}, async (page) => {
        const links = await page.locator("a[href]").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
        assert.ok(links.length > 3);
        for (const link of links) {
          assert.match(link, /^#/);
          assert.equal(await page.locator(`[id="${link.slice(1)}"]`).count(), 1, link);
        }
      });
    });
  });
}

describe("what the page can do", () => {
  const name = "verdicts";
  const column = (page, place) => page.locator(`#cells tbody tr:visible > :nth-child(${place})`).allInnerTexts();
  const header = (page, text) => page.locator("#cells thead th", { hasText: text });
  const percents = (texts) => texts.filter((text) => text !== "–").map((text) => parseFloat(text));
  const isSorted = (values) => values.every((value, at) => at === 0 || values[at - 1] <= value);

  test("tables sort by pointer and by keyboard", async () => {
    await withReport(name, {}, async (page) => {
      const accuracy = header(page, "Robust accuracy");
      const unsorted = percents(await column(page, 8));
      assert.ok(!isSorted(unsorted), "the test needs a table that is not sorted yet");
      await accuracy.getByRole("button").click();
      assert.equal(await accuracy.getAttribute("aria-sort"), "ascending");
      const ascending = percents(await column(page, 8));
      assert.ok(isSorted(ascending));
      assert.deepEqual(ascending.toSorted(), unsorted.toSorted(), "no row is lost");
      await page.keyboard.press("Enter");
      assert.equal(await accuracy.getAttribute("aria-sort"), "descending");
      assert.ok(isSorted(percents(await column(page, 8)).reverse()));
      // Radii sort by value, not by text; empty cells come last either way.
      const target = header(page, "Target reached");
      await target.getByRole("button").focus();
      for (const order of ["ascending", "descending"]) {
        await page.keyboard.press("Space");
        assert.equal(await target.getAttribute("aria-sort"), order);
        const texts = await column(page, 11);
        const first = texts.indexOf("–");
        assert.ok(first > 0 && texts.slice(first).every((text) => text === "–"), order);
      }
      assert.equal(await accuracy.getAttribute("aria-sort"), null, "one column sorts at a time");
    });
  });

  test("tables are filtered by words", async () => {
    await withReport(name, {}, async (page) => {
      const input = page.getByRole("searchbox");
      const total = await page.locator("#cells tbody tr").count();
      await input.fill("VIT-tiny noise");
      const rows = await page.locator("#cells tbody tr:visible").allInnerTexts();
      assert.equal(rows.length, 3);
      for (const row of rows) assert.ok(row.includes("vit-tiny") && row.includes("noise"), row);
      assert.equal(await page.locator("#cells-filter output").innerText(), `3 of ${total} rows`);
      // A filtered table can be sorted, and stays filtered.
      await header(page, "Flip rate").getByRole("button").click();
      assert.equal(await page.locator("#cells tbody tr:visible").count(), 3);
      await input.fill("no such thing");
      assert.equal(await page.locator("#cells tbody tr:visible").count(), 0);
      await input.press("Escape");
      assert.equal(await input.inputValue(), "");
      assert.equal(await page.locator("#cells tbody tr:visible").count(), total);
    });
  });

  test("charts and pictures are enlarged, and focus comes back", async () => {
    await withReport(name, {}, async (page) => {
      for (const figure of ["#curves figure >> nth=0", "#examples figure >> nth=1"]) {
        const shown = page.locator(figure).locator("svg, img").first();
        const small = await shown.boundingBox();
        const button = page.locator(figure).getByRole("button");
        await button.focus();
        await page.keyboard.press("Enter");
        const dialog = page.getByRole("dialog");
        assert.ok(await dialog.isVisible());
        const large = await dialog.locator("svg, img").first().boundingBox();
        assert.ok(large.width > small.width * 1.1, `${small.width} became ${large.width}`);
        assert.ok(large.x >= 0 && large.x + large.width <= 1280 && large.height <= 900, JSON.stringify(large));
        assert.equal(await page.evaluate(() => document.activeElement.closest("dialog") !== null), true);
        await screenshot(page, `enlarged-${figure.slice(1, 5)}`);
        const { violations } = await accessibility(page);
        assert.deepEqual(violations, []);
        await page.keyboard.press("Escape");
        assert.ok(!(await dialog.isVisible()));
        assert.ok(await button.evaluate((of) => of === document.activeElement), "focus comes back");
      }
      await page.locator("#curves figure").first().hover();
      await page.locator("#curves figure").first().getByRole("button").click();
      await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
      assert.ok(!(await page.getByRole("dialog").isVisible()));
    });
  });

  test("everything is reached by keyboard, and what has focus is seen", async () => {
    await withReport(name, {}, async (page) => {
      await page.keyboard.press("Tab");
      const skip = page.getByRole("link", { name: "Skip to the results" });
      assert.ok(await skip.evaluate((link) => link === document.activeElement));
      assert.ok((await skip.boundingBox()).x >= 0, "the skip link appears");
      await page.keyboard.press("Enter");
      // Moving within a page is not done when the key has been pressed.
      await page.waitForURL(/#verdict$/);
      const reached = new Set();
      for (let step = 0; step < 400; step += 1) {
        await page.keyboard.press("Tab");
        const at = await page.evaluate(() => {
          const of = document.activeElement;
          if (of === document.body) return null;
          const box = of.getBoundingClientRect();
          const style = getComputedStyle(of);
          const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
          const kinds = ["a", "button", "input", "summary", "[tabindex]"];
          return { kind: kinds.find((kind) => of.matches(kind)), outlined, area: box.width * box.height, of: of.outerHTML.slice(0, 90) };
        });
        if (!at) break;
        assert.ok(at.outlined && at.area > 0, `focus is not seen on ${at.of}`);
        reached.add(at.kind);
      }
      assert.deepEqual([...reached].sort(), ["[tabindex]", "a", "button", "input", "summary"]);
    });
  });

  test("prints on white paper, without controls and uncut", async () => {
    await withReport(name, { colorScheme: "dark" }, async (page) => {
      await page.emulateMedia({ media: "print" });
      const brightness = await page.evaluate(() => {
        const colour = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
        return Math.min(...colour.slice(0, 3));
      });
      assert.ok(brightness > 240, `paper of ${brightness}`);
      assert.equal(await page.locator("nav:visible, button.zoom:visible, input:visible, .skip:visible").count(), 0);
      const cut = await page.locator(".scroll, pre").evaluateAll((all) =>
        all.filter((of) => of.checkVisibility() && of.scrollHeight > of.clientHeight + 2).map((of) => of.outerHTML.slice(0, 90)));
      assert.deepEqual(cut, []);
      const pdf = await page.pdf({ format: "A4" });
      assert.ok(pdf.length > 50_000 && pdf.subarray(0, 4).toString() === "%PDF");
      await page.setViewportSize({ width: 794, height: 1123 });
      await screenshot(page, "print");
    });
  });

  test("the first screen tells verdict, accuracies with intervals, sizes and signs", async () => {
    await withReport(name, {}, async (page) => {
      const inView = async (locator) => {
        const box = await locator.first().boundingBox();
        return box !== null && box.y + box.height <= 900;
      };
      assert.ok(await inView(page.locator("#gate-title")), "verdict");
      assert.ok(await inView(page.locator("header .pill")), "status");
      for (const text of ["150", "cifar10", "ℓ∞ ε 8/255"]) {
        assert.ok(await inView(page.locator("header", { hasText: text })), text);
      }
      for (const card of await page.locator(".card").all()) {
        assert.match(await card.innerText(), /\d+\.\d % .*\(\d+\.\d–\d+\.\d\)/s);
        assert.match(await card.innerText(), /n = 150/);
        assert.ok(await inView(card.locator(".big")), "accuracy of each model");
      }
    });
  });

  test("each card tells the difference to the baseline, and newly broken samples are shown", async () => {
    await withReport(name, {}, async (page) => {
      for (const card of await page.locator(".card").all()) {
        assert.match(await card.locator(".big .delta").first().innerText(), /^[+−]?\d+\.\d points \([+−]?\d+\.\d to [+−]?\d+\.\d\)$/);
        assert.equal(await card.locator(".bars .delta").count(), await card.locator(".bars tbody tr").count());
      }
      await page.locator("#gate a[href='#gate-broken']").click();
      const pictures = page.locator("#gate-broken img");
      assert.ok(await pictures.count() > 5);
      for (const picture of await pictures.all()) {
        assert.equal(await picture.evaluate((of) => of.complete && of.naturalWidth), 32);
        assert.match(await picture.getAttribute("alt"), /^Sample test\//);
      }
    });
    await withReport("passed", {}, async (page) => {
      assert.equal(await page.locator("#gate-broken").count(), 0);
      assert.ok(await page.locator(".card .delta").count() > 3);
    });
    await withReport("plain", {}, async (page) => assert.equal(await page.locator(".delta").count(), 0));
  });
});
