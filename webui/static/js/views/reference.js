// The API's reference: what /api/openapi.json describes, by group; nothing is fetched from elsewhere.
import { html, useMemo, useState } from "../preact.js";
import { Trouble } from "../parts.js";
import { go, useUrl } from "../router.js";
import { useGet } from "../views_common.js";

const METHODS = ["get", "put", "post", "delete", "patch"];

export function ReferenceView() {
  const { value, error, again } = useGet("/api/openapi.json");
  const url = useUrl();
  const [words, setWords] = useState("");
  const shown = decodeURIComponent(url.hash.slice(1));
  const groups = useMemo(() => (value ? grouped(value) : []), [value]);
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  if (!value) return null;
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (one) => wanted.every((word) => one.text.includes(word));
  return html`<div class="reference">
    <div class="top">
      <h1>API</h1>
      <input class="field" type="search" aria-label="Find in the API" placeholder="path or words" value=${words} onInput=${(event) => setWords(event.target.value)} />
      <a class="btn small" href="/api/openapi.json" download="callsheet-openapi.json">OpenAPI ${value.openapi}</a>
    </div>
    <p class="dim">${value.info.description.replaceAll("`", "").replaceAll("*", "")}</p>
    ${groups.map(([group, operations]) => {
      const found = operations.filter(fits);
      return (
        found.length > 0 &&
        html`<section key=${group} aria-label=${group}>
          <h2>${group}</h2>
          ${found.map((one) => html`<${Operation} key=${one.id} one=${one} schemas=${value.components.schemas} open=${shown === one.id} />`)}
        </section>`
      );
    })}
    ${!groups.some(([, operations]) => operations.some(fits)) && html`<p class="panel empty">Nothing in the API has these words.</p>`}
  </div>`;
}

/** The operations of a document by group, in its order. @returns {[string, any[]][]} */
function grouped(document) {
  const found = new Map(document.tags.map((tag) => [tag.name, []]));
  for (const [path, methods] of Object.entries(document.paths))
    for (const method of METHODS)
      if (methods[method]) {
        const said = methods[method];
        const text = `${method} ${path} ${said.description}`.toLowerCase();
        found.get(said.tags[0]).push({ id: said.operationId, method, path, said, text });
      }
  return [...found].filter(([, operations]) => operations.length > 0);
}

function Operation({ one, schemas, open }) {
  const { said } = one;
  const role = said["x-role"];
  // Drawn when it is first opened: all of them at once would be twelve thousand elements.
  const [seen, setSeen] = useState(false);
  const toggled = (event) => {
    if (event.currentTarget.open) setSeen(true);
    if (event.currentTarget.open && !open) go(`${location.pathname}#${one.id}`, { replace: true });
  };
  return html`<details class="operation panel" id=${one.id} open=${open} onToggle=${toggled}>
    <summary>
      <code class=${`method m-${one.method}`}>${said["x-websocket"] ? "WS" : one.method.toUpperCase()}</code>
      <code class="path">${one.path}</code><span class="dim">${said.summary}</span>
    </summary>
    ${(seen || open) && html`<${Told} said=${said} role=${role} schemas=${schemas} />`}
  </details>`;
}

/** All that is said of an operation. */
function Told({ said, role, schemas }) {
  return html`<div class="told">
    <p>${said.description.replaceAll("`", "")}</p>
    <p class="dim">${role ? `Takes the role ${role}${said["x-also-with-labels"] ? ", also of who reaches only certain labels" : ""}.` : "Needs no log-in."}</p>
    ${said.parameters.length > 0 && html`<${Fields} title="Parameters" rows=${said.parameters.map((param) => ({ name: param.name, where: param.in, required: param.required, schema: param.schema, about: param.description }))} />`}
    ${said.requestBody && html`<${Shape} title="Body" schema=${bodyOf(said.requestBody)} schemas=${schemas} />`}
    ${Object.entries(said.responses)
      .filter(([status]) => status.startsWith("2"))
      .map(([status, answer]) => html`<${Shape} key=${status} title=${`Answer ${status}${kindsOf(answer)}`} schema=${bodyOf(answer)} schemas=${schemas} />`)}
    <p class="dim">Errors: ${Object.keys(said.responses).filter((status) => status >= "4").join(", ")}</p>
  </div>`;
}

const bodyOf = (part) => Object.values(part.content ?? {})[0]?.schema;
const kindsOf = (answer) => {
  const kinds = Object.keys(answer.content ?? {}).filter((kind) => kind !== "application/json");
  return kinds.length > 0 ? `: ${kinds.join(", ")}` : "";
};

/** A schema as a table of its fields; the shapes in it can be opened in turn. */
function Shape({ title, schema, schemas, depth = 0 }) {
  const named = schema && nameOf(schema);
  const shape = named ? schemas[named] : schema;
  if (!shape?.properties) return html`<h3>${title}</h3><p>${shape?.description} <code>${shape ? words(schema) : "nothing"}</code></p>`;
  const rows = Object.entries(shape.properties).map(([name, field]) => ({ name, required: shape.required?.includes(name), schema: field, about: field.description }));
  const inner = [...new Set(Object.values(shape.properties).flatMap(namesIn))].filter((name) => schemas[name]?.properties);
  return html`<${Fields} title=${title} about=${shape.description} rows=${rows} />
    ${depth < 4 &&
    inner.map((name) => html`<${Inner} key=${name} name=${name} schemas=${schemas} depth=${depth + 1} />`)}`;
}

/** A shape in another; drawn when it is first opened, as it has shapes in it in turn. */
function Inner({ name, schemas, depth }) {
  const [seen, setSeen] = useState(false);
  return html`<details class="inner" onToggle=${(event) => event.currentTarget.open && setSeen(true)}>
    <summary><code>${name}</code></summary>
    ${seen && html`<${Shape} title=${name} schema=${{ $ref: name }} schemas=${schemas} depth=${depth} />`}
  </details>`;
}

function Fields({ title, about, rows }) {
  return html`<h3>${title}</h3>
    ${about && html`<p class="dim">${about.replaceAll("`", "")}</p>`}
    <table class="fields">
      <tbody>
        ${rows.map(
          (row) => html`<tr key=${`${row.where} ${row.name}`}>
            <th><code>${row.name}</code>${row.required ? html`<span title="required">*</span>` : ""}</th>
            <td><code>${words(row.schema)}</code>${row.where && html` <span class="dim">${row.where}</span>`}</td>
            <td>${row.about?.replaceAll("`", "")}</td>
          </tr>`,
        )}
      </tbody>
    </table>`;
}

const nameOf = (schema) => schema.$ref?.split("/").pop();

/** The names of the shapes that a schema leads to at once. @returns {string[]} */
function namesIn(schema) {
  if (nameOf(schema)) return [nameOf(schema)];
  return [...(schema.anyOf ?? []), schema.items, schema.additionalProperties].filter((part) => part && typeof part === "object").flatMap(namesIn);
}

/** A schema in a word or two. @returns {string} */
function words(schema) {
  if (nameOf(schema)) return nameOf(schema);
  if (schema.anyOf) return schema.anyOf.map(words).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.type === "array") return schema.items ? `list of ${words(schema.items)}` : "list";
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return `object of ${words(schema.additionalProperties)}`;
  const bounds = schema.minimum !== undefined && schema.maximum !== undefined ? ` ${schema.minimum}…${schema.maximum}` : "";
  const preset = schema.default !== undefined && schema.default !== null ? `, ${JSON.stringify(schema.default)}` : "";
  return `${schema.type ?? "anything"}${bounds}${preset}`;
}
