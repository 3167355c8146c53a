/* report_style.c — the style sheet: system fonts, one column, hairlines; prints as it looks. */
#include "trainer/run/report_parts.h"
#include <stdio.h>

// clang-format off
const char REPORT_STYLE[] =
    ":root{--ink:#1b1f24;--soft:#5b6470;--line:#e1e4e8;--wash:#f6f7f9}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:#fff;color:var(--ink);font:15px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,"
        "'Helvetica Neue',Arial,'Liberation Sans',sans-serif;font-variant-numeric:tabular-nums}\n"
    "main{max-width:1000px;margin:0 auto;padding:56px 32px 72px}\n"
    "header{border-bottom:2px solid var(--ink);padding-bottom:18px;margin-bottom:26px}\n"
    ".kicker{font-size:12px;letter-spacing:.09em;text-transform:uppercase;color:var(--soft);margin:0}\n"
    "h1{font-size:34px;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:4px 0 6px;overflow-wrap:anywhere}\n"
    "header p{margin:0;color:var(--soft)}\n"
    "section{margin:46px 0 0;break-inside:avoid}\n"
    "h2{font-size:19px;font-weight:650;letter-spacing:-.005em;margin:0 0 4px}\n"
    "section>p{margin:0 0 14px;color:var(--soft);max-width:72ch}\n"
    "code{font:12.5px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace;color:#3c4450;overflow-wrap:anywhere}\n"
    ".hash{color:var(--soft)}\n"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:22px 28px;margin:0}\n"
    ".facts dt{font-size:12.5px;color:var(--soft)}\n"
    ".facts dd{margin:0;font-size:25px;line-height:1.25;font-weight:600;letter-spacing:-.01em}\n"
    ".facts dd small{display:block;font-size:12.5px;font-weight:400;letter-spacing:0;color:var(--soft);margin-top:2px}\n"
    "figure{margin:0}\n"
    "figure svg{display:block;width:100%;height:auto}\n"
    "figure svg g{font-family:inherit}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:3px 20px;margin:0 0 8px;font-size:13.5px}\n"
    ".chip{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:7px;background:var(--c)}\n"
    ".key{color:var(--soft)}\n"
    "table{border-collapse:collapse;width:100%;font-size:14px}\n"
    "th{font-weight:600;text-align:left;color:var(--soft);font-size:12.5px;border-bottom:1px solid var(--ink);padding:5px 12px 5px 0;vertical-align:bottom}\n"
    "td{border-bottom:1px solid var(--line);padding:6px 12px 6px 0;vertical-align:top}\n"
    "th.n,td.n{text-align:right;white-space:nowrap}\n"
    ".n+td:not(.n),.n+th:not(.n){padding-left:14px}\n"
    "tr>:last-child{padding-right:0}\n"
    "tr.total td{border-bottom:0;border-top:1px solid var(--ink);font-weight:600}\n"
    "td.best{font-weight:700}\n"
    ".scroll{overflow-x:auto}\n"
    ".spine,.spine ul{list-style:none;margin:0;padding:0}\n"
    ".spine{border:1px solid var(--line);border-radius:8px;padding:18px 22px 10px}\n"
    ".spine .spine{position:relative;border:0;padding:8px 0 0}\n"
    ".spine .spine:before{content:'';position:absolute;left:-23px;top:18.5px;width:24px;height:2px;background:var(--line)}\n"
    ".spine>li{position:relative;padding:0 0 14px 30px}\n"
    ".spine>li:before{content:'';position:absolute;left:2px;top:6px;width:11px;height:11px;border-radius:50%;background:var(--c);z-index:1}\n"
    ".spine>li:after{content:'';position:absolute;left:6.5px;top:8px;bottom:-8px;width:2px;background:var(--line)}\n"
    ".spine>li:last-child:after{display:none}\n"
    ".spine b{font-weight:650}\n"
    ".points>li{display:grid;grid-template-columns:18px 122px 120px 1fr auto;gap:0 8px;align-items:baseline;margin-top:3px;font-size:14px}\n"
    ".points>li.wide{grid-template-columns:18px 1fr}\n"
    ".points .mark{width:9px;height:9px;border:2px solid var(--c);align-self:center}\n"
    ".points .full{background:var(--c)}\n"
    ".points .turn{transform:rotate(45deg)}\n"
    "sup{font-size:.7em;line-height:0}\n"
    ".soft{color:var(--soft)}\n"
    ".bars{display:grid;grid-template-columns:max-content 1fr;gap:9px 16px;align-items:center;margin:0 0 22px}\n"
    ".bars .bar{height:20px;border-radius:3px;background:var(--c);min-width:2px}\n"
    ".bars .row{display:flex;align-items:center;gap:10px;white-space:nowrap}\n"
    "details summary{cursor:pointer;color:var(--soft)}\n"
    "pre{background:var(--wash);border-radius:8px;padding:14px 18px;overflow-x:auto;font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace}\n"
    "footer{margin-top:56px;padding-top:14px;border-top:1px solid var(--line);font-size:12.5px;color:var(--soft)}\n"
    "@media print{main{padding:0;max-width:none}body{font-size:11pt}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n"
    "@media (max-width:640px){main{padding:28px 18px}.points>li{grid-template-columns:18px 1fr 1fr}}\n";
// clang-format on

/* Okabe and Ito's palette without its yellow, which is too pale on white. */
const char *report_color(int64_t i)
{
    static const char *const COLORS[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                         "#E69F00", "#56B4E9", "#3D3D3D"};
    return COLORS[i % N_OF(COLORS)];
}

void report_int(Text *page, int64_t x)
{
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%lld", LL(x));
    for (int i = 0; i < n; i++) {
        text_bytes(page, &digits[i], 1);
        if ((n - i) % 3 == 1 && i < n - 1 && digits[i] != '-') text_add(page, ",");
    }
}

void report_legend(Text *page, int64_t color, const char *label)
{
    text_printf(page, "<span><span class=\"chip\" style=\"--c:%s\"></span>", report_color(color));
    text_html(page, label);
    text_add(page, "</span>");
}
