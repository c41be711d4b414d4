// Prints what is delivered as CycloneDX: the npm packages of the program (`npm sbom`), and the Node.js that runs them.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { INSTALL_ONLY } from './install-only.mjs';

const ROOT = join(import.meta.dirname, '..');
/** Bundled for the report of a replay, and so not among the dependencies. */
const REPORT = 'echarts';
const read = (file) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'));

/** npm names what lies in this tree after its folder; here it has the name that it has in the reference. */
function named(component) {
  const [, name, version] = /^(.+)@([^@]+)$/.exec(component['bom-ref']);
  return {
    ...component,
    name:
      version === component.version && component.purl.endsWith(`/${escaped(name)}@${version}`)
        ? name
        : component.name,
  };
}
const escaped = (name) => name.replace('@', '%40');

function nodeJs(version) {
  const purl = `pkg:generic/nodejs@${version}`;
  return {
    'bom-ref': purl,
    type: 'platform',
    name: 'nodejs',
    version,
    scope: 'required',
    purl,
    cpe: `cpe:2.3:a:nodejs:node.js:${version}:*:*:*:*:*:*:*`,
  };
}

/** All that the program needs, from itself on. `npm sbom --omit dev` leaves out what a tool of development needs as well. */
function delivered({ components, dependencies }, program) {
  const nameOf = (ref) => ref.slice(0, ref.lastIndexOf('@'));
  const direct = [...Object.keys(read('package.json').dependencies), REPORT];
  const needed = new Map();
  const add = (ref, dependsOn) => {
    needed.set(ref, { ref, dependsOn });
    for (const next of dependsOn) if (!needed.has(next)) add(next, needs(next));
  };
  const needs = (ref) => {
    const all = dependencies.find((each) => each.ref === ref)?.dependsOn ?? [];
    return all.filter(
      (each) => !INSTALL_ONLY.has(nameOf(each)) && (ref !== program || direct.includes(nameOf(each))),
    );
  };
  add(program, needs(program));
  return {
    components: components.filter((each) => needed.has(each['bom-ref'])),
    dependencies: [...needed.values()],
  };
}

const text = execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application'], {
  cwd: ROOT,
  encoding: 'utf8',
  maxBuffer: 100_000_000,
});
const bom = JSON.parse(text);
const program = named(bom.metadata.component);
bom.metadata.component = program;
Object.assign(bom, delivered(bom, program['bom-ref']));
bom.components = bom.components.map(named);
const node = nodeJs(read('package.json').config.node);
bom.components.push(node);
bom.dependencies.find(({ ref }) => ref === program['bom-ref']).dependsOn.push(node['bom-ref']);
console.log(JSON.stringify(bom, null, 2));
