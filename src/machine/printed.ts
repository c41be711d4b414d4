import { findTool, runTool } from '../firewall/iptables/command.ts';

/** What a tool prints; undefined where it is not installed, or may not be asked. */
export async function printed(tool: string, args: readonly string[]): Promise<string | undefined> {
  const path = findTool(tool);
  if (path === undefined) return undefined;
  try {
    const { status, output } = await runTool(path, args);
    return status === 0 ? output : undefined;
  } catch {
    return undefined;
  }
}
