// Prints what is delivered as CycloneDX: the npm packages of the program (`npm sbom`), and the Node.js that runs them.
//
//   node scripts/bom.mjs                  of a package
//   node scripts/bom.mjs --image FILE     of the image in whose inside scripts/image.sh has asked what is in FILE, by line:
//                                         image ID; os ID VERSION; node VERSION; deb NAME VERSION ARCHITECTURE SOURCE
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

/** What a program inside the image has told, by the first word of its line. */
function readInside(file) {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const rows = lines.map((line) => line.split(' '));
  const all = (kind) => rows.filter(([first]) => first === kind).map(([, ...rest]) => rest);
  const one = (kind) => {
    const found = all(kind);
    if (found.length !== 1) throw new Error(`${file} has ${found.length} lines of "${kind}", not one`);
    return found[0];
  };
  const inside = { id: one('image')[0], os: one('os'), node: one('node')[0], packages: all('deb') };
  if (inside.packages.length === 0) throw new Error(`${file} names no package of the system`);
  return inside;
}

/** A plus in a version is no space: https://github.com/package-url/purl-spec */
const inPurl = (text) => encodeURIComponent(text).replaceAll('%3A', ':');

/** Holes are told by the name of the source, where that is another. */
function debPackage([id, release], [name, version, architecture, source]) {
  const upstream = source === name ? '' : `&upstream=${inPurl(source)}`;
  const about = `arch=${architecture}&distro=${id}-${release}${upstream}`;
  const purl = `pkg:deb/${id}/${inPurl(name)}@${inPurl(version)}?${about}`;
  return { 'bom-ref': purl, type: 'library', name, version, scope: 'required', purl };
}

/** The program's parts become some of the image's, beside the system that runs them. */
function ofImage(bom, program, { id, os, packages }) {
  const [name, version] = os;
  const image = {
    'bom-ref': `nfknock-image@${id}`,
    type: 'container',
    name: 'nfknock-image',
    version: program.version,
    hashes: [{ alg: 'SHA-256', content: id.replace(/^sha256:/, '') }],
  };
  const system = { 'bom-ref': `${name}@${version}`, type: 'operating-system', name, version };
  const parts = packages.map((each) => debPackage(os, each));
  bom.metadata.component = image;
  bom.components.unshift({ ...program, type: 'application' });
  bom.components.push(system, ...parts);
  bom.dependencies.unshift(
    { ref: image['bom-ref'], dependsOn: [program['bom-ref'], system['bom-ref']] },
    { ref: system['bom-ref'], dependsOn: parts.map((each) => each['bom-ref']) },
  );
}

const [option, file] = process.argv.slice(2);
if (option !== undefined && (option !== '--image' || file === undefined))
  throw new Error('write bom.mjs, or bom.mjs --image FILE');
const inside = option === undefined ? undefined : readInside(file);
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
const node = nodeJs(inside?.node ?? read('package.json').config.node);
bom.components.push(node);
bom.dependencies.find(({ ref }) => ref === program['bom-ref']).dependsOn.push(node['bom-ref']);
if (inside !== undefined) ofImage(bom, program, inside);
console.log(JSON.stringify(bom, null, 2));
