/** The look of the viewer; pages may set its custom properties. */
export const STYLE = `
:host { display: block; min-width: 0; color-scheme: light dark;
  font: 14px/1.4 system-ui, sans-serif; --doh-clay: #dbd1c2;
  --doh-ink: #222; --doh-ground: #fff; --doh-line: #767676; }
@media (prefers-color-scheme: dark) {
  :host { --doh-ink: #e8e8e8; --doh-ground: #1b1c1f; --doh-line: #8a8a8a; }
}
.stage { position: relative; background: var(--doh-ground); }
canvas { display: block; width: 100%; aspect-ratio: var(--doh-aspect, 4 / 3); touch-action: none;
  cursor: grab; }
canvas:active { cursor: grabbing; }
canvas:focus-visible { outline: 3px solid #3b82f6; outline-offset: -3px; }
.note { position: absolute; inset: auto 0 0 0; margin: 0; padding: 0.4em 0.7em;
  color: var(--doh-ink); background: color-mix(in srgb, var(--doh-ground) 80%, transparent); }
.note:empty { display: none; }
.bar { display: flex; flex-wrap: wrap; gap: 0.3em 1.2em; align-items: center;
  justify-content: space-between; padding: 0.4em 0; color: var(--doh-ink); }
:host([plain]) .bar { display: none; }
select { font: inherit; color: inherit; background: var(--doh-ground);
  border: 1px solid var(--doh-line); border-radius: 4px; padding: 0.15em 0.4em; }
`;
