//! Files of callees: templates, rehearsals and imports.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::harness::orders::{AGENT, LINE, agent, line, with};
use super::harness::plan::Plan;
use super::harness::site::{Site, folder};
use super::said::{done, json, say};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_checked_and_imported() {
    let files = folder("import-files");
    let site = Site::start("import", &Plan::default()).await;
    let variables = json!([{"key": "firstName", "required": true}, {"key": "note", "required": false}]);
    site.upstream.accept("agent.put", &with(agent(AGENT), "variables", variables)).await;
    let mute = with(line(LINE, 10, 10), "callerNumbers", json!([]));
    site.upstream.accept("service-instance.put", &mute).await;
    let task = site.create("autumn", 5).await;
    template(&site, &files);
    rehearsals(&site, &files);
    assert_eq!(site.task(&task).await["counts"]["pending"], 0, "a rehearsal imports nobody");
    stray_quotes(&site, &files);
    assert_eq!(site.task(&task).await["counts"]["pending"], 0, "a file that is refused imports nobody");
    imports(&site, &files);
    assert_eq!(site.task(&task).await["counts"]["pending"], 5);
}

fn write(files: &Path, name: &str, text: &str) -> PathBuf {
    let path = files.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn import<'a>(file: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["import", file.to_str().unwrap(), "--task", "autumn"], more].concat()
}

fn template(site: &Site, files: &Path) {
    let file = files.join("callees.xlsx");
    let words = ["template", file.to_str().unwrap(), "--agent", AGENT];
    done(site, &words).has(&["calledNumber, outId, firstName, note"]);
    say(site, &words).ends(1).complains(&["exists already"]);
    let other = files.join("other.xlsx");
    let written = json(site, &["template", other.to_str().unwrap(), "--agent", AGENT]).ends(0).json();
    assert_eq!(written["variables"], json!(["firstName", "note"]));
    let nobody = files.join("nobody.xlsx");
    let misspelt = ["template", nobody.to_str().unwrap(), "--variable", "firstName:requird"];
    say(site, &misspelt).ends(2).complains(&["write firstName:required"]);
    say(site, &["template", nobody.to_str().unwrap(), "--agent", "nobody"]).ends(1).complains(&["nobody", "NOT_FOUND"]);
    assert!(!nobody.exists());
    say(site, &import(&file, &[])).ends(1).complains(&["no rows"]);
}

fn rehearsals(site: &Site, files: &Path) {
    // A byte order mark, semicolons, Windows lines, quotes with the separator and a line break in them.
    let text = "\u{feff}calledNumber;outId;firstName;note\r\n+493023125001;1;\"Ada; \"\"A\"\"\";\"Ring,\r\nplease\"\r\n\
        +493023125002;2;;\r\n12;3;Cem;\r\n";
    let bad = write(files, "bad.csv", text);
    let said = say(site, &import(&bad, &["--dry-run"])).ends(1);
    said.has(&[
        "4  +493023125002",
        "VARIABLE_MISSING",
        "5  12",
        "NUMBER_INVALID",
        "3 rows: 1 accepted, 0 duplicates, 2 rejected",
    ]);
    let errors = fs::read_to_string(files.join("bad.csv.errors.csv")).unwrap();
    let lines: Vec<_> = errors.lines().collect();
    assert_eq!(lines[0], "calledNumber,outId,firstName,note,line,code,message");
    assert!(lines[1].starts_with("+493023125002,2,,,4,VARIABLE_MISSING,give the variable firstName"), "{errors}");
    let printed = json(site, &import(&bad, &["--dry-run"])).ends(1).lines();
    assert_eq!(printed.last().unwrap()["totals"], json!({"accepted": 1, "duplicates": 0, "rejected": 2}));
    let short = write(files, "short.csv", "calledNumber,note\n+493023125001,x\n");
    for more in [&["--dry-run"][..], &[]] {
        say(site, &import(&short, more)).ends(1).complains(&["requires firstName", "no such column"]);
    }
    let fine = write(files, "fine.csv", "calledNumber,firstName\n+493023125001,Ada\n+493023125001,Ada\n");
    done(site, &import(&fine, &["--dry-run"])).has(&["2 rows: 1 accepted, 1 duplicate, 0 rejected"]);
    let elsewhere = ["import", fine.to_str().unwrap(), "--task", "spring", "--dry-run"];
    say(site, &elsewhere).ends(1).complains(&["task spring", "NOT_FOUND"]);
}

fn stray_quotes(site: &Site, files: &Path) {
    let head = "calledNumber,firstName\n+493023125001,Ada\n";
    for (rest, words) in [
        (
            "+493023125002,\"Ben\n+493023125003,Cem\n+493023125004,Dov\"\n",
            "line 3: a quoted cell goes over several lines, and line 4",
        ),
        (
            "+493023125002,\"Ben\n+493023125003,Cem\n+493023125004,\"Dov\n",
            "line 5: there is more in the cell after its closing quote",
        ),
        ("+493023125002,\"Ben\n+493023125003,Cem\n", "line 3: a quote is opened and never closed"),
    ] {
        let file = write(files, "stray.csv", &format!("{head}{rest}"));
        say(site, &import(&file, &[])).ends(1).complains(&[words]);
        say(site, &import(&file, &["--dry-run", "--json"])).ends(1).complains(&[words]);
    }
}

fn imports(site: &Site, files: &Path) {
    let text = "calledNumber,outId,firstName\n+493023125001,1,\"Ada, A\"\n+493023125002,2,Ben\n+493023125002,2,Ben\n12,3,Cem\n";
    let file = write(files, "callees.csv", text);
    let said = done(site, &import(&file, &["--batch-id", "b"]));
    let said = said.has(&["5  12", "NUMBER_INVALID", "4 rows: 2 accepted, 1 duplicate, 1 rejected"]);
    let hints = ["callees.csv.errors.csv", "import the same file again with another --batch-id"];
    said.complains(&[&["the rejected rows with their reasons are in"][..], &hints].concat());
    let again = json(site, &import(&file, &["--batch-id", "b"])).ends(0).lines();
    assert_eq!(again[0]["accepted"], 2, "the first receipt again");
    assert_eq!(again[1]["totals"], json!({"accepted": 2, "duplicates": 1, "rejected": 1}));
    let errors = files.join("callees.csv.errors.csv");
    let mended = fs::read_to_string(&errors).unwrap().replace("12,3,", "+493023125003,3,");
    fs::write(&errors, mended).unwrap();
    let said = done(site, &import(&errors, &["--batch-id", "mended"])).has(&["1 rows: 1 accepted"]);
    said.complains(&["line, code, message, are of an earlier import and left out"]);
    let listed = json(site, &["callees", "list", "autumn", "--batch", "mended"]).ends(0).lines();
    assert_eq!(listed[0]["variables"], json!({"firstName": "Cem"}));
    let more = write(files, "more.csv", "calledNumber;firstName\n+493023125005;Eva\n+493023125006;Fay\n");
    done(site, &import(&more, &["--batch-rows", "1"])).has(&["2 rows: 2 accepted"]);
    let listed = json(site, &["callees", "list", "autumn", "--batch", "b"]).ends(0).lines();
    assert_eq!(listed[0]["variables"], json!({"firstName": "Ada, A"}));
    say(site, &["import", "nowhere.csv", "--task", "autumn"]).ends(1).complains(&["nowhere.csv cannot be opened"]);
}
