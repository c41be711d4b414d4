import { Counter, Gauge, type Registry } from 'prom-client';

/** Labels and value of one sample. */
export type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

type Register = (name: string, help: string, labelNames: string[], samples: () => readonly Sample[]) => void;

/** Counters whose totals are kept elsewhere: each scrape sets them anew. */
export function counterOf(registry: Registry): Register {
  return (name, help, labelNames, samples) => {
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of samples()) this.inc(labels, value);
      },
    });
  };
}

export function gaugeOf(registry: Registry): Register {
  return (name, help, labelNames, samples) => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of samples()) this.set(labels, value);
      },
    });
  };
}
