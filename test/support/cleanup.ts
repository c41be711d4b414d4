const duties = new Set<() => void>();
let watching = false;

/**
 * Has something removed when this process ends, however it ends short of kill -9. The answer does it at once,
 * and only the first time that it is called.
 */
export function atEnd(remove: () => void): () => void {
  watchTheEnd();
  const once = (): void => {
    if (duties.delete(once)) remove();
  };
  duties.add(once);
  return once;
}

function watchTheEnd(): void {
  if (watching) return;
  watching = true;
  const removeAll = (): void => {
    for (const duty of duties) duty();
  };
  process.on('exit', removeAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      removeAll();
      process.kill(process.pid, signal);
    });
  }
}
