# seconds: 3600
# The tests of `test/kernel` that show what the kernel does rather than how soon, on this kernel: the binding, what the
# program asks of netfilter, and the same contract over each of its back ends and sources.
FILES=(native-nfqueue native-nflog native-life netlink-late firewall-contract source-contract connections)
# Under emulation nothing is soon, a flood is more than can be taken, and what waits for its turn runs out.
TOO_SLOW='read at once|every packet of a flood|all ended but one|a list may take longer than its pieces|carries the moment of its arrival'
load_modules
NFKNOCK_TEST_MS=900000 node node_modules/vitest/vitest.mjs run --project kernel --project long --maxWorkers 1 \
  --testNamePattern "^(?!.*($TOO_SLOW)).*\$" --reporter json --outputFile /run/nfknock/tests.json \
  "${FILES[@]/#/test/kernel/}" >/run/nfknock/tests.out 2>&1
node -e '
  const { testResults } = JSON.parse(require("fs").readFileSync("/run/nfknock/tests.json", "utf8"));
  const wanted = Number(process.argv[1]);
  if (testResults.length !== wanted) console.log(`not ok: kernel-tests: ${testResults.length} files of ${wanted}`);
  for (const { name, message, assertionResults } of testResults) {
    const file = name.replace(/^.*\//, "");
    if (message !== "") console.log(`not ok: kernel-tests: ${file}: ${message}`);
    for (const { fullName, status, failureMessages } of assertionResults) {
      // Left out by its name, above.
      if (status === "skipped" || status === "pending") continue;
      console.log(`${status === "passed" ? "ok" : "not ok"}: kernel-tests: ${file}: ${fullName}`);
      for (const failure of failureMessages) console.log(failure.split("\n").slice(0, 8).map((line) => `    ${line}`).join("\n"));
    }
  }' "${#FILES[@]}" || { not_ok 'the tests ran'; tail -n 40 /run/nfknock/tests.out; }
