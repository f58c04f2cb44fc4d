/** The style sheet of reports: light and dark by the reader's setting, print without backgrounds. */
export const reportStyle = `
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2330;--soft:#5b6675;--line:#d9dee6;--card:#f5f7fa;--c1:#2563c9;--c2:#c2410c;--c3:#0f8a5f;--c4:#7c3aed;--good:#0f8a5f;--bad:#c2410c}
@media (prefers-color-scheme:dark){:root{--paper:#12161d;--ink:#e6eaf0;--soft:#9aa6b5;--line:#2c3441;--card:#1a202a;--c1:#6ea8fe;--c2:#ff9e64;--c3:#4fd1a1;--c4:#b794f6;--good:#4fd1a1;--bad:#ff9e64}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:70rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}
h1{font-size:1.7rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2.4rem 0 .4rem;border-top:1px solid var(--line);padding-top:1.2rem}h3{font-size:1rem;margin:.9rem 0 .3rem}
p,li{max-width:52rem}.soft,small,figcaption{color:var(--soft);font-weight:400}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:.6rem;margin:1rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.55rem .75rem}
.tile b{display:block;font-size:1.45rem;font-variant-numeric:tabular-nums;line-height:1.25}.tile span{color:var(--soft);font-size:.82rem}
.tile.main b{color:var(--c1)}
.findings li{margin:.35rem 0}.alarm{border-left:4px solid var(--bad);background:var(--card);padding:.5rem .8rem;margin:.6rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
.scroll{overflow-x:auto}th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}
td.wide{width:9rem}svg{display:block;width:100%;height:auto}svg.cell{height:.65rem;min-width:6rem}svg.key{display:inline-block;width:1.6rem;height:.55rem;margin-right:.4rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.2rem;align-items:start}
.small-charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr));gap:.8rem}.small-charts figcaption b{color:var(--ink)}
figure{margin:0}.legend{list-style:none;padding:0;margin:.2rem 0;display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;color:var(--soft)}
.grid{stroke:var(--line);fill:none;stroke-width:1}.line{fill:none;stroke-width:2}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--soft)}.dashed{stroke-dasharray:5 4}
.tick,.axis,.note,.count{fill:var(--soft);font:11px system-ui,sans-serif}.axis{fill:var(--ink);font-size:12px}.note{fill:var(--ink);paint-order:stroke;stroke:var(--paper);stroke-width:4px}.count{fill:var(--ink);font-size:10px}.count.strong{fill:var(--paper)}
.mark{fill:var(--c2);stroke:var(--paper);stroke-width:1.5}.bar{fill:var(--c1)}.trough{fill:var(--line)}rect.good{fill:var(--good)}rect.bad{fill:var(--bad)}
.picture{margin:1rem 0 1.6rem}.panels{display:grid;grid-template-columns:1fr 1fr;gap:.6rem;max-width:60rem}.panels svg{border-radius:.3rem;background:var(--card);max-height:26rem}
.ground{fill:var(--card)}.box{fill:none}.box.found,.box.right{stroke:#16a34a}.box.missed{stroke:#e11d48;stroke-dasharray:6 4}.box.wrong{stroke:#f97316}.box.ignored{stroke:#94a3b8;stroke-dasharray:2 4}
.box-label{font-family:system-ui,sans-serif;font-weight:600;paint-order:stroke;stroke:#000b;fill:#fff}.box-label.missed{fill:#ffc2cf}.box-label.wrong{fill:#ffd9b8}.box-label.found,.box-label.right{fill:#bdf5cf}.box-label.ignored{fill:#cbd5e1}
details{margin:.8rem 0}summary{cursor:pointer;color:var(--c1)}
.yes{color:var(--good)}.no{color:var(--soft)}
@media print{body{background:none}details{display:block}}
`;
