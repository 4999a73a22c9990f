// A new server: how the first job comes into its folder; to who cannot bring it, why there is nothing.
import { html } from "./preact.js";
import { Panel } from "./parts.js";
import { may, useMe } from "./session.js";
import { useGet } from "./views_common.js";

const FILE = `schedule: {type: interval, interval: 1m}
program: {type: shell, command: echo hello}
`;

/** Three lines, with the folder's own path. @param {{none: string}} of what there is none of */
export function FirstJob({ none }) {
  const { value } = useGet("/api/v2/health");
  const labels = useMe()?.labels ?? [];
  if (labels.length) return html`<div class="panel empty">${none} for you: you reach only what has a label of: ${labels.join(", ")}.</div>`;
  if (!may("operator")) return html`<div class="panel empty">${none}. Bringing them in takes the role operator.</div>`;
  const folder = value?.job_folder ?? "the job folder";
  return html`<${Panel} title=${none} sub="three steps to the first run">
    <div class="pad first-job">
      <p>1. Put a file into <code>${folder}</code>, such as <code>hello.yaml</code>:</p>
      <pre class="yaml">${FILE}</pre>
      <p>2. See that it is right: <code>callsheetctl check ${folder}</code></p>
      <p>3. Load it on <a href="/control"><u>Control</u></a>, which first shows what that changes.</p>
    </div>
  <//>`;
}
