// Checks the shipped dashboards against Grafana's own types, and that this check detects mistakes: node --test
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const here = fileURLToPath(new URL('.', import.meta.url));
const shipped = `${here}../../deploy/grafana/dashboards`;

// Several of Grafana's files have types with the same name, which a schema of named types could not distinguish.
const schema = createGenerator({
  path: `${here}types.ts`, tsconfig: `${here}tsconfig.json`, type: 'Dashboard', additionalProperties: false, expose: 'none',
}).createSchema('Dashboard');
const isValid = new Ajv({ strict: false }).compile(schema);
const explain = new Ajv({ strict: false, allErrors: true, verbose: true }).compile(schema);

const dashboards = readdirSync(shipped).map((name) => [name, JSON.parse(readFileSync(`${shipped}/${name}`, 'utf8'))]);
assert.equal(dashboards.length, 2, `dashboards in ${shipped}`);

for (const [name, dashboard] of dashboards) {
  test(`${name} is what Grafana's types allow`, () => {
    if (!explain(dashboard)) {
      assert.fail(explain.errors.map((e) => `${e.instancePath}: ${e.message} ${JSON.stringify(e.params)}`).join('\n'));
    }
  });
  test(`${name} with any key misspelt is refused`, () => refusesEach(dashboard, misspelt));
  test(`${name} with any value of another type is refused`, () => refusesEach(dashboard, ofAnotherType));
  test(`${name} with any word that is none of those known is refused`, () => refusesEach(dashboard, unknownWord));
}

// refusesEach makes one change after the other, and reverts it.
function refusesEach(dashboard, changesOf) {
  let changes = 0;
  const accepted = [];
  walk(dashboard, [], (holder, key, path) => {
    for (const change of changesOf(holder, key, path)) {
      const before = { ...holder };
      change();
      if (isValid(dashboard)) accepted.push(path.join('.'));
      if (Array.isArray(holder)) holder[key] = before[key];
      else restore(holder, before);
      changes++;
    }
  });
  assert.ok(changes > 100, `only ${changes} changes`);
  assert.deepEqual(accepted, []);
  assert.ok(isValid(dashboard), 'a change was not taken back');
}

function restore(object, before) {
  for (const key of Object.keys(object)) delete object[key];
  Object.assign(object, before);
}

function walk(value, path, visit) {
  if (value === null || typeof value !== 'object') return;
  for (const key of Object.keys(value)) {
    visit(value, key, [...path, key]);
    walk(value[key], [...path, key], visit);
  }
}

// free are objects whose keys are names of columns, or values that are shown as a text.
const free = /\.(excludeByName|includeByName|indexByName|renameByName)\.[^.]*$|\.mappings\.\d+\.options\.[^.]*$|\.value\.\d+\.options\.[^.]*$/;

function misspelt(holder, key, path) {
  if (Array.isArray(holder) || free.test(path.join('.'))) return [];
  return [() => { holder[`${key}x`] = holder[key]; delete holder[key]; }];
}

function ofAnotherType(holder, key) {
  const value = holder[key];
  switch (typeof value) {
    case 'string': return [() => { holder[key] = 7; }];
    case 'number': case 'boolean': return [() => { holder[key] = 'seven'; }];
    default: return [];
  }
}

// words are the keys with a fixed set of values.
const words = new Set([
  'colorMode', 'cellHeight', 'displayMode', 'drawStyle', 'editorMode', 'fill', 'format', 'graphMode', 'justifyMode', 'lineInterpolation', 'match',
  'namePlacement', 'orientation', 'percentChangeColorMode', 'placement', 'axisPlacement', 'showPoints', 'showValue', 'sizing', 'textMode',
  'type', 'valueDisplayMode', 'valueMode', 'mode',
]);

function unknownWord(holder, key, path) {
  const isWord = words.has(key) || key === 'id' && typeof holder[key] === 'string' || key === 'sort' && path.includes('tooltip');
  if (!isWord || typeof holder[key] !== 'string') return [];
  return [() => { holder[key] += 'x'; }];
}
